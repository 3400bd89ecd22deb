import type { DatabaseSync } from 'node:sqlite';

/**
 * Each entry brings the schema from its index to the next version (`PRAGMA user_version`); entries are never changed
 * once released, only added.
 */
const migrations: readonly string[] = [
  `CREATE TABLE documents (
     kind TEXT NOT NULL,
     id TEXT NOT NULL,
     document TEXT NOT NULL,
     PRIMARY KEY (kind, id)
   ) WITHOUT ROWID;
   CREATE TABLE audit (
     id INTEGER PRIMARY KEY,
     time TEXT NOT NULL,
     principal TEXT NOT NULL,
     operation TEXT NOT NULL,
     request_id TEXT NOT NULL,
     changes TEXT NOT NULL
   );`,
  `CREATE TABLE asynchronous_events (
     request_id TEXT PRIMARY KEY,
     function_name TEXT NOT NULL,
     qualifier TEXT NOT NULL,
     payload BLOB NOT NULL,
     accepted_at INTEGER NOT NULL,
     attempts INTEGER NOT NULL,
     delays INTEGER NOT NULL,
     due_at INTEGER NOT NULL,
     result TEXT
   );
   CREATE INDEX asynchronous_events_due ON asynchronous_events (due_at);`,
];

export const schemaVersion = migrations.length;

/** Applies what is missing, each step in a transaction of its own. Refuses a schema newer than this build knows. */
export function migrate(database: DatabaseSync): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > schemaVersion) {
    throw new Error(`its schema has version ${version}, and this build knows only ${schemaVersion}: use a newer build`);
  }
  for (let next = version; next < schemaVersion; next += 1) {
    database.exec(`BEGIN IMMEDIATE; ${migrations[next]} PRAGMA user_version = ${next + 1}; COMMIT;`);
  }
}
