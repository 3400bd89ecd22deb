import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { RandomCutForest, type RandomCutForestOptions } from '@headrace/random-cut-forest';
import { IdentityWindow } from './identity-window.ts';

/** How a streaming endpoint scores. */
export interface StreamingOptions {
  /** Numbers in a row; undefined: as many as the first row has. */
  readonly featureDim: number | undefined;
  readonly shingleSize: number;
  readonly numTrees: number;
  readonly numSamplesPerTree: number;
  /** Undefined: the forest's default. */
  readonly timeDecay: number | undefined;
  /** Undefined: follows from the model's name, so that a new endpoint of the same name scores alike. */
  readonly randomSeed: number | undefined;
  /** Rows that each model remembers at least, to know them when they come again; 0 remembers none. */
  readonly deduplicationWindow: number;
}

/** Who a row is: see {@link IdentityWindow}. */
export interface RowIdentity {
  readonly stream: string;
  readonly number: number;
}

export interface RowResult {
  readonly score: number;
  /** The row was known: it was not learnt again. */
  readonly duplicate: boolean;
  readonly warmingUp: boolean;
}

const MAGIC = 0x4d535248;
const VERSION = 1;

/** A forest that scores a row, then learns it, once; together with its memory of rows, which is saved with it. */
export class StreamingModel {
  readonly forest: RandomCutForest;
  private readonly window: IdentityWindow | undefined;

  private constructor(forest: RandomCutForest, window: IdentityWindow | undefined) {
    this.forest = forest;
    this.window = window;
  }

  static create(options: StreamingOptions, featureDim: number, name: string): StreamingModel {
    const forestOptions: RandomCutForestOptions = {
      dimensions: featureDim * options.shingleSize,
      shingleSize: options.shingleSize,
      internalShingling: true,
      numberOfTrees: options.numTrees,
      sampleSize: options.numSamplesPerTree,
      randomSeed: options.randomSeed ?? createHash('sha256').update(name).digest().readUInt32LE(0),
    };
    if (options.timeDecay !== undefined) forestOptions.timeDecay = options.timeDecay;
    return new StreamingModel(new RandomCutForest(forestOptions), windowOf(options));
  }

  /** Bytes of memory. */
  get byteLength(): number {
    return this.forest.byteLength + (this.window?.byteLength ?? 0);
  }

  /** Numbers in a row. */
  get featureDim(): number {
    return this.forest.options.dimensions / this.forest.options.shingleSize;
  }

  /** Scores a checked row, then learns it, unless it is known. */
  take(row: readonly number[], identity: RowIdentity | undefined): RowResult {
    const { forest, window } = this;
    let stream = 0;
    let print = 0;
    if (identity && window) {
      stream = window.streamOf(identity.stream);
      print = printOf(row);
      const known = window.find(stream, identity.number, print);
      if (known !== undefined) return { score: known, duplicate: true, warmingUp: !forest.isOutputReady };
    }
    const warmingUp = !forest.isOutputReady;
    const score = forest.scoreAndUpdate(row);
    if (identity && window) window.add(stream, identity.number, print, score);
    return { score, duplicate: false, warmingUp };
  }

  dispose(): void {
    this.forest.dispose();
  }

  toBytes(name: string): Buffer {
    const nameBytes = Buffer.from(name);
    const forest = this.forest.toBytes();
    const window = this.window?.toBytes() ?? Buffer.alloc(0);
    const head = Buffer.alloc(20);
    head.writeUInt32LE(MAGIC, 0);
    head.writeUInt32LE(VERSION, 4);
    head.writeUInt32LE(nameBytes.length, 12);
    head.writeUInt32LE(forest.length, 16);
    const bytes = Buffer.concat([head, nameBytes, forest, window]);
    bytes.writeUInt32LE(crc32(bytes.subarray(12)), 8);
    return bytes;
  }

  /** Throws an Error with what is wrong when the bytes are not a whole model of this name. */
  static fromBytes(bytes: Buffer, name: string, options: StreamingOptions): StreamingModel {
    if (bytes.length < 20 || bytes.readUInt32LE(0) !== MAGIC) throw new Error('it is not a saved model');
    if (bytes.readUInt32LE(4) !== VERSION) throw new Error(`it has version ${bytes.readUInt32LE(4)}, not ${VERSION}`);
    if (bytes.readUInt32LE(8) !== crc32(bytes.subarray(12))) throw new Error('its checksum is wrong');
    const forestAt = 20 + bytes.readUInt32LE(12);
    const windowAt = forestAt + bytes.readUInt32LE(16);
    if (bytes.toString('utf8', 20, forestAt) !== name) throw new Error('it is the model of another name');
    const forest = RandomCutForest.fromBytes(bytes.subarray(forestAt, windowAt));
    const saved = bytes.subarray(windowAt);
    const window =
      options.deduplicationWindow > 0 && saved.length > 0
        ? IdentityWindow.fromBytes(saved, options.deduplicationWindow)
        : windowOf(options);
    return new StreamingModel(forest, window);
  }
}

function windowOf(options: StreamingOptions): IdentityWindow | undefined {
  return options.deduplicationWindow > 0 ? new IdentityWindow(options.deduplicationWindow) : undefined;
}

const one = new Float32Array(1);
const bits = new Uint32Array(one.buffer);

/** 32-bit FNV-1a over the row as the forest sees it. */
function printOf(row: readonly number[]): number {
  let hash = 0x811c9dc5;
  for (let j = 0; j < row.length; j++) {
    one[0] = row[j]! + 0;
    const word = bits[0]!;
    hash = Math.imul(hash ^ (word & 0xffff), 0x01000193);
    hash = Math.imul(hash ^ (word >>> 16), 0x01000193);
  }
  return hash >>> 0;
}
