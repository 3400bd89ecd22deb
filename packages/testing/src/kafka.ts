import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Certificates, generateCertificates } from './certificates.ts';
import { type CommandOutput, runCommand } from './command.ts';
import { classDataArchive, type KafkaInstallation, kafkaInstallation } from './kafka-installation.ts';
import { type KafkaPorts, type KafkaUser, kafkaProperties } from './kafka-properties.ts';
import { freePorts } from './port.ts';
import { ServerProcess, temporaryFolder } from './server-process.ts';

export interface KafkaOptions {
  /** Also open the SSL and SASL_SSL listeners, with fresh certificates (needs `openssl`). Off by default. */
  tls?: boolean;
  /** server.properties of one's own, over the defaults. */
  properties?: Record<string, string | number | boolean>;
  /** Users of the SASL listeners (PLAIN and both SCRAMs); by default one, `alice` with the password `secret`. */
  users?: KafkaUser[];
  /**
   * Opens a listener more, `listeners.proxied`, whose clients are told to connect to 127.0.0.1 and this port: that is
   * where the test puts its proxy.
   */
  proxyPort?: number;
  /** Arguments of the Java machine; by default a small heap and the serial collector. */
  jvmArguments?: string[];
  /** Start without the class-data archive. */
  withoutArchive?: boolean;
}

/** A real Apache Kafka, one node, in a process of its own. */
export interface Kafka extends AsyncDisposable {
  /** `host:port` of the PLAINTEXT listener. */
  readonly bootstrapServers: string;
  /** `host:port` by kind. `saslSsl` and `ssl` are there with `tls`, `proxied` with `proxyPort`; otherwise empty. */
  readonly listeners: { plaintext: string; saslPlaintext: string; saslSsl: string; ssl: string; proxied: string };
  /** `node.id`: 1, and 2 and so on for added brokers. */
  readonly nodeId: number;
  readonly users: KafkaUser[];
  /** With `tls`: the authority that clients trust, and a certificate for mutual TLS. */
  readonly certificates: Certificates | undefined;
  /** Of the running Java process; changes with a restart. */
  readonly processId: number;
  /** What the server has printed so far. */
  log(): string;
  /** Sends a signal (SIGKILL by default): a crash, or SIGSTOP and SIGCONT for a pause. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts again on the same data and ports; a running server is stopped in an orderly way first. */
  restart(): Promise<void>;
  /**
   * Runs a Java class on Kafka's class path to its end, such as `org.apache.kafka.tools.TopicCommand`. The arguments
   * are the class's own, `--bootstrap-server` included.
   */
  javaTool(className: string, args: string[], options?: { timeoutMs?: number }): Promise<CommandOutput>;
  /**
   * Starts one more broker of the same cluster with the same options: for leaders that move, coordinators that die and
   * replicas that fall behind. It ends with this one, which stays the only controller. `proxyPort` is its own, and
   * `properties` are over the first one's.
   */
  addBroker(options?: Pick<KafkaOptions, 'proxyPort' | 'properties'>): Promise<Kafka>;
  /** Stops the server, and brokers that were added to it, and removes their data. */
  stop(): Promise<void>;
}

/** A base64 UUID as Kafka makes them. One that begins with a dash would be a flag to the storage tool. */
function newClusterId(): string {
  for (;;) {
    const id = Buffer.from(crypto.randomUUID().replaceAll('-', ''), 'hex').toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}

const smallMachine = [
  '-Xms192m',
  '-Xmx384m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Djava.awt.headless=true',
];
const START_TIMEOUT_MS = 60_000;

/**
 * Starts a real Apache Kafka on free ports of 127.0.0.1 with an empty data folder, ready when this resolves (about
 * 2 s: 1 s to format, 1 s to start). It needs Java 17 and Maven (`needs('java', 'maven')`), and ends with this process
 * at the latest.
 *
 *     await using kafka = await startKafka();
 */
export async function startKafka(options: KafkaOptions = {}): Promise<Kafka> {
  const installation = await kafkaInstallation();
  const archive = options.withoutArchive
    ? undefined
    : await classDataArchive(async (jvmArguments) => {
        // The archive holds the classes of one run, so this run also opens what most tests open.
        const server = await KafkaServer.create(
          installation,
          { tls: false, withoutArchive: true, jvmArguments: [...smallMachine, ...jvmArguments] },
          undefined,
        );
        await server.javaTool('org.apache.kafka.tools.TopicCommand', [
          '--bootstrap-server',
          server.bootstrapServers,
          '--create',
          '--topic',
          'training',
          '--partitions',
          '1',
        ]);
        await server.stop();
      });
  return KafkaServer.create(installation, options, archive);
}

class KafkaServer implements Kafka {
  readonly listeners: Kafka['listeners'];
  readonly users: KafkaUser[];
  readonly certificates: Certificates | undefined;
  readonly nodeId: number;
  readonly #installation: KafkaInstallation;
  readonly #options: KafkaOptions;
  readonly #archive: string | undefined;
  readonly #isController: boolean;
  readonly #controllerPort: number;
  readonly #clusterId: string;
  readonly #added: KafkaServer[] = [];
  readonly #folder: string;
  readonly #jvmArguments: string[];
  #process: ServerProcess | undefined;

  static async create(
    installation: KafkaInstallation,
    options: KafkaOptions,
    archive: string | undefined,
    controller?: { server: KafkaServer; nodeId: number },
  ): Promise<KafkaServer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await KafkaServer.#attempt(installation, options, archive, controller);
      } catch (error) {
        // The ports were free a moment before: on a busy machine somebody else may be faster.
        const isTaken = error instanceof Error && error.message.includes('Address already in use');
        if (!isTaken || attempt === 3) throw error;
      }
    }
  }

  static async #attempt(
    installation: KafkaInstallation,
    options: KafkaOptions,
    archive: string | undefined,
    controller: { server: KafkaServer; nodeId: number } | undefined,
  ): Promise<KafkaServer> {
    const folder = temporaryFolder('kafka');
    try {
      const certificateFolder = join(folder, 'certificates');
      mkdirSync(certificateFolder);
      const certificates =
        controller?.server.certificates ?? (options.tls ? await generateCertificates(certificateFolder) : undefined);
      const place = { folder, certificates, ports: await takePorts() };
      const server = new KafkaServer(installation, options, archive, place, controller);
      await server.#format();
      await server.#start();
      return server;
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private constructor(
    installation: KafkaInstallation,
    options: KafkaOptions,
    archive: string | undefined,
    { folder, certificates, ports }: { folder: string; certificates: Certificates | undefined; ports: KafkaPorts },
    controller: { server: KafkaServer; nodeId: number } | undefined,
  ) {
    this.#installation = installation;
    this.#options = options;
    this.#archive = archive;
    this.#folder = folder;
    this.#isController = controller === undefined;
    this.#controllerPort = controller ? controller.server.#controllerPort : ports.controller;
    this.#clusterId = controller ? controller.server.#clusterId : newClusterId();
    this.nodeId = controller?.nodeId ?? 1;
    this.certificates = certificates;
    this.users = options.users ?? [{ name: 'alice', password: 'secret' }];
    const at = (port: number, isOpen = true): string => (isOpen ? `127.0.0.1:${port}` : '');
    this.listeners = {
      plaintext: at(ports.plaintext),
      saslPlaintext: at(ports.saslPlaintext),
      saslSsl: at(ports.saslSsl, options.tls),
      ssl: at(ports.ssl, options.tls),
      proxied: at(ports.proxied, options.proxyPort !== undefined),
    };
    this.#jvmArguments = [...(options.jvmArguments ?? smallMachine), '-Xshare:auto'];
    if (archive !== undefined) this.#jvmArguments.push(`-XX:SharedArchiveFile=${archive}`, '-Xlog:cds=off');
    const properties = kafkaProperties({
      nodeId: this.nodeId,
      controllerPort: this.#isController ? undefined : this.#controllerPort,
      ports,
      proxyPort: options.proxyPort,
      dataFolder: join(folder, 'data'),
      certificateFolder: certificates?.folder ?? '',
      tls: options.tls ?? false,
      users: this.users,
      overrides: options.properties ?? {},
    });
    writeFileSync(join(folder, 'server.properties'), properties);
  }

  get bootstrapServers(): string {
    return this.listeners.plaintext;
  }

  get processId(): number {
    if (!this.#process) throw new Error('Kafka is stopped');
    return this.#process.processId;
  }

  log(): string {
    return this.#process?.log() ?? '';
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.#process?.signal(signal);
  }

  async restart(): Promise<void> {
    await this.#process?.stop();
    await this.#start();
  }

  javaTool(className: string, args: string[], options: { timeoutMs?: number } = {}): Promise<CommandOutput> {
    const { classPath, toolLog4jFile } = this.#installation;
    const jvm = [
      '-Xmx256m',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=1',
      `-Dlog4j2.configurationFile=${toolLog4jFile}`,
    ];
    return runCommand('java', [...jvm, '-cp', classPath, className, ...args], { timeout: options.timeoutMs ?? 60_000 });
  }

  async addBroker({ proxyPort, properties }: Pick<KafkaOptions, 'proxyPort' | 'properties'> = {}): Promise<Kafka> {
    if (!this.#isController) throw new Error('brokers are added to the first one');
    const { proxyPort: _own, ...own } = this.#options;
    const options: KafkaOptions = own;
    if (proxyPort !== undefined) options.proxyPort = proxyPort;
    if (properties !== undefined) options.properties = { ...options.properties, ...properties };
    const nodeId = this.#added.length + 2;
    const server = await KafkaServer.create(this.#installation, options, this.#archive, { server: this, nodeId });
    this.#added.push(server);
    return server;
  }

  async stop(): Promise<void> {
    // The controller last: without it the others could not say goodbye.
    await Promise.all(this.#added.splice(0).map((server) => server.stop()));
    await this.#process?.stop(this.#folder);
    this.#process = undefined;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #format(): Promise<void> {
    const scram = this.users.flatMap(({ name, password }) =>
      ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
        '--add-scram',
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    );
    const cluster = ['-t', this.#clusterId, '-c', join(this.#folder, 'server.properties')];
    const role = this.#isController ? ['--standalone', ...scram] : ['--no-initial-controllers'];
    await this.javaTool('kafka.tools.StorageTool', ['format', ...cluster, ...role]);
  }

  async #start(): Promise<void> {
    const { classPath, log4jFile } = this.#installation;
    // One file a start, because "ready" is looked for in it.
    const logFile = join(this.#folder, `server-${Date.now()}.log`);
    const args = [...this.#jvmArguments, `-Dlog4j2.configurationFile=${log4jFile}`, '-cp', classPath, 'kafka.Kafka'];
    this.#process = new ServerProcess('java', [...args, join(this.#folder, 'server.properties')], {
      logFile,
      folder: this.#folder,
    });
    await this.#process.ready((log) => log.includes('Kafka Server started'), START_TIMEOUT_MS);
  }
}

async function takePorts(): Promise<KafkaPorts> {
  const [plaintext, saslPlaintext, saslSsl, ssl, proxied, controller] = (await freePorts(6)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { plaintext, saslPlaintext, saslSsl, ssl, proxied, controller };
}
