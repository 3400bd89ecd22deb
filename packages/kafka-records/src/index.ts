export type { RecordChunk } from './record-chunk.ts';
