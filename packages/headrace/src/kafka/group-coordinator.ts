import type { Cluster } from './cluster.ts';
import type { Connection } from './connection.ts';

/** The broker that keeps a group. Looked for when it is first needed, and again after `failed`. */
export class GroupCoordinator {
  readonly #cluster: Cluster;
  readonly #groupId: string;
  #node: number | undefined;

  constructor(cluster: Cluster, groupId: string) {
    this.#cluster = cluster;
    this.#groupId = groupId;
  }

  /** See {@link Cluster.connection}. @throws HeadraceError also while the group has no coordinator */
  async connection(purpose: string): Promise<Connection> {
    this.#node ??= await this.#cluster.coordinator(this.#groupId);
    return this.#cluster.connection(this.#node, purpose);
  }

  /** It does not answer, or says that it is another by now. */
  failed(): void {
    this.#node = undefined;
  }
}
