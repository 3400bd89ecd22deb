import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { runCommand } from './command.ts';

/** The Apache Kafka release that tests run against. */
export const KAFKA_VERSION = '4.3.1';
const LOG4J_VERSION = '2.25.3';

const pom = `<project>
  <modelVersion>4.0.0</modelVersion><groupId>headrace</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>${LOG4J_VERSION}</version></dependency>
  </dependencies>
</project>
`;

/** The server prints "Kafka Server started" at INFO: a higher level would hide the line that says it is ready. */
const log4j = `status = error
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level = info
rootLogger.appenderRef.c.ref = C
`;

/** Kafka's command line tools: errors only, on stderr. */
const toolLog4j = log4j.replace('rootLogger.level = info', 'appender.c.target = SYSTEM_ERR\nrootLogger.level = error');

/** Apache Kafka's jars and what belongs to them, in the cache. */
export interface KafkaInstallation {
  folder: string;
  /** For `java -cp`. Sorted names, since a class-data archive is valid only for exactly the class path it came from. */
  classPath: string;
  log4jFile: string;
  toolLog4jFile: string;
}

/** Fetches Apache Kafka with Maven, once for all checkouts of this user (92 jars, 54 MB, some seconds). */
export async function kafkaInstallation(): Promise<KafkaInstallation> {
  const folder = await cached(`kafka-${KAFKA_VERSION}-log4j-${LOG4J_VERSION}`, async (building) => {
    await writeFile(join(building, 'pom.xml'), pom);
    await writeFile(join(building, 'log4j2.properties'), log4j);
    await writeFile(join(building, 'tool-log4j2.properties'), toolLog4j);
    const args = ['-B', '-q', 'dependency:copy-dependencies', '-DoutputDirectory=libs', '-DincludeScope=runtime'];
    await runCommand('mvn', args, { cwd: building, timeout: 300_000 });
  });
  const libraries = join(folder, 'libs');
  const jars = readdirSync(libraries)
    .filter((file) => file.endsWith('.jar'))
    .sort();
  return {
    folder,
    classPath: jars.map((jar) => join(libraries, jar)).join(':'),
    log4jFile: join(folder, 'log4j2.properties'),
    toolLog4jFile: join(folder, 'tool-log4j2.properties'),
  };
}

/**
 * The class-data archive that brings a server's start from 1.7 s to 0.8 s. `train` runs a server once with the given
 * JVM arguments and stops it in an orderly way. The archive is of one Java and one installation.
 */
export async function classDataArchive(train: (jvmArguments: string[]) => Promise<void>): Promise<string> {
  const { stderr } = await runCommand('java', ['-version']);
  const java = stderr.replace(/[^\w.+-]+/g, '_').slice(0, 80);
  const folder = await cached(`kafka-${KAFKA_VERSION}-archive-${java}`, async (building) => {
    await mkdir(building, { recursive: true });
    await train([`-XX:ArchiveClassesAtExit=${join(building, 'kafka.jsa')}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off']);
    readFileSync(join(building, 'kafka.jsa'), { encoding: null });
  });
  return join(folder, 'kafka.jsa');
}
