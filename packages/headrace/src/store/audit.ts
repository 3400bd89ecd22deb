/** Who did what: one entry for each mutating request. */
export interface AuditEntry {
  readonly id: number;
  /** ISO 8601. */
  readonly time: string;
  /** Access key id, or `anonymous` when signatures are not checked. */
  readonly principal: string;
  readonly operation: string;
  readonly requestId: string;
  readonly changes: readonly AuditChange[];
}

export interface AuditChange {
  readonly kind: string;
  readonly id: string;
  /** Members that differ; absent when the thing was made. */
  readonly before?: Readonly<Record<string, unknown>>;
  /** Members that differ; absent when the thing was removed. */
  readonly after?: Readonly<Record<string, unknown>>;
}

/** What one thing was, and became. */
export interface ChangedThing {
  readonly kind: string;
  readonly id: string;
  readonly before: object | undefined;
  readonly after: object | undefined;
}

/** Values that must not be readable in the audit: their names stay. */
const secretMembers = new Set(['Environment']);

/** The differing members of both sides, secrets hidden. */
export function auditChange(change: ChangedThing): AuditChange {
  const { kind, id } = change;
  const before = (change.before ?? {}) as Record<string, unknown>;
  const after = (change.after ?? {}) as Record<string, unknown>;
  const differing = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (name) => !isSame(before[name], after[name]),
  );
  const side = (document: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries(
      differing.filter((name) => name in document).map((name) => [name, hideSecrets(name, document[name])]),
    );
  return {
    kind,
    id,
    ...(change.before === undefined ? {} : { before: side(before) }),
    ...(change.after === undefined ? {} : { after: side(after) }),
  };
}

function isSame(before: unknown, after: unknown): boolean {
  if (before === after) return true;
  const areObjects = typeof before === 'object' && typeof after === 'object';
  return areObjects && JSON.stringify(before) === JSON.stringify(after);
}

function hideSecrets(name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (secretMembers.has(name)) {
    const { Variables } = value as { Variables?: object };
    const hidden = (variables: object): object =>
      Object.fromEntries(Object.keys(variables).map((key) => [key, '(hidden)']));
    // Lambda's are one level further in than SageMaker's.
    return typeof Variables === 'object' && Variables !== null ? { Variables: hidden(Variables) } : hidden(value);
  }
  if (Array.isArray(value)) return value.map((item) => hideSecrets('', item));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hideSecrets(key, inner)]));
}
