import { RandomCutForestError } from './errors.ts';
import { HEADER, NONE, TREE } from './layout.ts';
import type { CompiledOptions } from './options.ts';
import { rebuildBox } from './plain-kernel.ts';
import type { ForestState } from './state.ts';

// A snapshot, little endian:
//
//   u32 magic "HRCF", u32 version
//   f64 × 9   the options, in the order of OPTIONS
//   f64 × 4   updates, decay, gathered decay, record since which it counts
//   f32 × D   shingle
//   u32       points, then D f32 each
//   trees     16 words of header, then 4 words a node, 2 words a leaf, then f64 weights, i32 points of the sampler
//   u32       CRC-32 of all before
//
// Boxes, masses, free lists and reference counts follow from these and are made anew. A snapshot may come from
// anywhere, and WebAssembly memory is shared by forests: nothing of it is believed before it was checked.

const MAGIC = 0x46435248;
const VERSION = 1;
const OPTIONS = [
  'dimensions',
  'shingleSize',
  'internalShingling',
  'numberOfTrees',
  'sampleSize',
  'timeDecay',
  'outputAfter',
  'initialAcceptFraction',
  'randomSeed',
] as const;

export interface RestoredCounters {
  readonly updates: number;
  readonly decayState: [decay: number, gathered: number, since: number];
  readonly shingle: Float32Array;
}

export function writeSnapshot(
  options: CompiledOptions,
  state: ForestState,
  decayState: readonly [number, number, number],
  updates: number,
  shingle: Float32Array,
): Uint8Array {
  const { layout, i32 } = state;
  const pointsUsed = i32[HEADER.pointsUsed]!;
  let size = 8 + 8 * (OPTIONS.length + 4) + 4 * layout.dimensions + 4 + 4 * layout.dimensions * pointsUsed + 4;
  for (let tree = 0; tree < layout.trees; tree++) {
    const at = state.treeAt(tree);
    size += 64 + 16 * i32[at + TREE.nodesUsed]! + 8 * i32[at + TREE.leavesUsed]! + 12 * i32[at + TREE.entries]!;
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const block = new Uint8Array(i32.buffer, i32.byteOffset, layout.bytes);
  let at = 0;
  const u32 = (value: number): void => {
    view.setUint32(at, value, true);
    at += 4;
  };
  const f64 = (value: number): void => {
    view.setFloat64(at, value, true);
    at += 8;
  };
  const copy = (from: number, length: number): void => {
    bytes.set(block.subarray(from, from + length), at);
    at += length;
  };
  u32(MAGIC);
  u32(VERSION);
  for (const name of OPTIONS) f64(Number(options[name]));
  for (const value of [updates, ...decayState]) f64(value);
  bytes.set(new Uint8Array(shingle.buffer, shingle.byteOffset, shingle.byteLength), at);
  at += shingle.byteLength;
  u32(pointsUsed);
  const references = layout.referencesAt >> 2;
  for (let point = 0; point < pointsUsed; point++) {
    // A freed slot still holds what was there; zeros keep equal states equal bytes.
    if (i32[references + point]! > 0) copy(layout.pointsAt + point * layout.blocks * 16, layout.dimensions * 4);
    else at += layout.dimensions * 4;
  }
  for (let tree = 0; tree < layout.trees; tree++) {
    const header = state.treeAt(tree);
    copy(header * 4, 64);
    copy(state.nodesAt(tree) * 4, 16 * i32[header + TREE.nodesUsed]!);
    copy(state.leavesAt(tree) * 4, 8 * i32[header + TREE.leavesUsed]!);
    const entries = i32[header + TREE.entries]!;
    copy(layout.weightsAt + tree * layout.samples * 8, entries * 8);
    copy(layout.sampledAt + tree * layout.samples * 4, entries * 4);
  }
  u32(crc32(bytes.subarray(0, at)));
  return bytes;
}

/**
 * Reads a snapshot into the state that `create` makes for its options.
 * @throws RandomCutForestError `INVALID_SNAPSHOT` with what is wrong
 */
export function readSnapshot(bytes: Uint8Array, create: (options: CompiledOptions) => ForestState): RestoredCounters {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const need = (length: number): void => {
    if (at + length > bytes.length - 4) throw unsound('it ends too early');
  };
  const u32 = (): number => {
    need(4);
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const f64 = (): number => {
    need(8);
    at += 8;
    return view.getFloat64(at - 8, true);
  };
  if (bytes.length < 16 || u32() !== MAGIC) throw unsound('it is not a snapshot of a forest');
  const version = u32();
  if (version !== VERSION) throw unsound(`it has version ${version}, this library reads ${VERSION}`);
  if (crc32(bytes.subarray(0, bytes.length - 4)) !== view.getUint32(bytes.length - 4, true)) {
    throw unsound('its checksum is wrong');
  }
  const options = Object.fromEntries(OPTIONS.map((name) => [name, f64()])) as unknown as Record<
    string,
    number | boolean
  >;
  options.internalShingling = options.internalShingling === 1;
  const updates = f64();
  const decayState: [number, number, number] = [f64(), f64(), f64()];
  if (![updates, ...decayState].every(Number.isFinite) || updates < 0) throw unsound('a counter is not a number');
  // A tree takes at least its header, which keeps a small snapshot from asking for a large forest.
  if (!(Number(options.numberOfTrees) * 64 < bytes.length)) throw unsound('it ends too early');

  let state: ForestState;
  try {
    state = create(options as unknown as CompiledOptions);
  } catch (error) {
    throw unsound(error instanceof Error ? error.message : String(error));
  }
  const { layout, i32 } = state;
  const block = new Uint8Array(i32.buffer, i32.byteOffset, layout.bytes);
  const copy = (to: number, length: number): void => {
    need(length);
    block.set(bytes.subarray(at, at + length), to);
    at += length;
  };
  const shingle = new Float32Array(layout.dimensions);
  need(shingle.byteLength);
  new Uint8Array(shingle.buffer).set(bytes.subarray(at, at + shingle.byteLength));
  at += shingle.byteLength;
  const pointsUsed = u32();
  if (pointsUsed > layout.pointCapacity) throw unsound('it holds too many points');
  need(pointsUsed * layout.dimensions * 4);
  for (let point = 0; point < pointsUsed; point++) {
    const start = state.pointAt(point);
    state.f32.fill(0, start, start + layout.blocks * 4);
    copy(start * 4, layout.dimensions * 4);
    for (let j = 0; j < layout.dimensions; j++) {
      if (!(Math.abs(state.f32[start + j]!) < 2 ** 127)) throw unsound('a coordinate is not a finite number');
    }
  }
  i32[HEADER.pointsUsed] = pointsUsed;
  const references = layout.referencesAt >> 2;
  i32.fill(0, references, references + pointsUsed);
  const masses = new Int32Array(pointsUsed);
  for (let tree = 0; tree < layout.trees; tree++) {
    const header = state.treeAt(tree);
    copy(header * 4, 64);
    const nodesUsed = i32[header + TREE.nodesUsed]!;
    const leavesUsed = i32[header + TREE.leavesUsed]!;
    const entries = i32[header + TREE.entries]!;
    if (
      !within(nodesUsed, layout.samples - 1) ||
      !within(leavesUsed, layout.samples) ||
      !within(entries, layout.samples)
    ) {
      throw unsound(`tree ${tree} is too large`);
    }
    copy(state.nodesAt(tree) * 4, 16 * nodesUsed);
    copy(state.leavesAt(tree) * 4, 8 * leavesUsed);
    copy(layout.weightsAt + tree * layout.samples * 8, entries * 8);
    copy(layout.sampledAt + tree * layout.samples * 4, entries * 4);
    checkTree(state, tree, masses);
    checkSampler(state, tree, masses);
  }
  if (at !== bytes.length - 4) throw unsound('it is longer than it says');
  i32[HEADER.freePoint] = NONE;
  for (let point = pointsUsed - 1; point >= 0; point--) {
    if (i32[references + point] !== 0) continue;
    i32[references + point] = ~i32[HEADER.freePoint]!;
    i32[HEADER.freePoint] = point;
  }
  return { updates, decayState, shingle };
}

/** Walks a tree, makes its boxes, masses and free lists, and counts the references of its leaves. */
function checkTree(state: ForestState, tree: number, masses: Int32Array): void {
  const { i32, f32, layout } = state;
  const header = state.treeAt(tree);
  const nodes = state.nodesAt(tree);
  const leaves = state.leavesAt(tree);
  const nodesUsed = i32[header + TREE.nodesUsed]!;
  const leavesUsed = i32[header + TREE.leavesUsed]!;
  const references = layout.referencesAt >> 2;
  const nodeSeen = new Uint8Array(nodesUsed);
  const leafSeen = new Uint8Array(leavesUsed);
  const order: number[] = [];
  masses.fill(0);
  let total = 0;
  const visit = (reference: number): void => {
    if (reference >= 0) {
      if (reference >= nodesUsed || nodeSeen[reference]) throw unsound(`tree ${tree} is not a tree`);
      nodeSeen[reference] = 1;
      order.push(reference);
      return;
    }
    const leaf = ~reference;
    if (leaf >= leavesUsed || leafSeen[leaf]) throw unsound(`tree ${tree} is not a tree`);
    leafSeen[leaf] = 1;
    const point = i32[leaves + leaf * 2]!;
    const mass = i32[leaves + leaf * 2 + 1]!;
    if (point < 0 || point >= masses.length || !(mass > 0) || mass > layout.samples || masses[point] !== 0) {
      throw unsound(`tree ${tree} has a leaf without a point`);
    }
    masses[point] = mass;
    i32[references + point]! += mass;
    total += mass;
  };
  const root = i32[header + TREE.root]!;
  if (root !== NONE) visit(root);
  for (let k = 0; k < order.length; k++) {
    const words = nodes + order[k]! * 4;
    const dimension = i32[words + 1]!;
    if (!(dimension >= 0 && dimension < layout.dimensions) || !Number.isFinite(f32[words]!)) {
      throw unsound(`tree ${tree} has a cut of no dimension`);
    }
    visit(i32[words + 2]!);
    visit(i32[words + 3]!);
  }
  if (total !== i32[header + TREE.entries]!) throw unsound(`tree ${tree} and its sampler disagree`);

  const side = layout.blocks * 4;
  for (let k = order.length - 1; k >= 0; k--) {
    const node = order[k]!;
    rebuildBox(state, tree, node);
    const words = nodes + node * 4;
    const dimension = i32[words + 1]!;
    const edge = (reference: number, high: boolean): number =>
      reference < 0
        ? f32[state.pointAt(i32[leaves + ~reference * 2]!) + dimension]!
        : f32[state.boxAt(tree, reference) + 4 + (high ? side : 0) + dimension]!;
    if (!(edge(i32[words + 2]!, true) <= f32[words]!) || !(edge(i32[words + 3]!, false) > f32[words]!)) {
      throw unsound(`tree ${tree} has a point on the wrong side of a cut`);
    }
  }
  i32[header + TREE.freeNode] = NONE;
  for (let node = nodesUsed - 1; node >= 0; node--) {
    if (nodeSeen[node]) continue;
    i32[nodes + node * 4 + 2] = i32[header + TREE.freeNode]!;
    i32[header + TREE.freeNode] = node;
  }
  i32[header + TREE.freeLeaf] = NONE;
  for (let leaf = leavesUsed - 1; leaf >= 0; leaf--) {
    if (leafSeen[leaf]) continue;
    i32[leaves + leaf * 2] = i32[header + TREE.freeLeaf]!;
    i32[header + TREE.freeLeaf] = leaf;
  }
}

/** The sampler must hold exactly what its tree holds (`masses`, used up here), in heap order. */
function checkSampler(state: ForestState, tree: number, masses: Int32Array): void {
  const { i32, f64, layout } = state;
  const entries = i32[state.treeAt(tree) + TREE.entries]!;
  const weights = (layout.weightsAt >> 3) + tree * layout.samples;
  const sampled = (layout.sampledAt >> 2) + tree * layout.samples;
  for (let entry = 0; entry < entries; entry++) {
    const point = i32[sampled + entry]!;
    const parent = f64[weights + ((entry - 1) >> 1)]!;
    if (!(point >= 0 && point < masses.length && masses[point]!-- > 0)) {
      throw unsound(`tree ${tree} and its sampler disagree`);
    }
    if (Number.isNaN(f64[weights + entry]!) || (entry > 0 && !(parent >= f64[weights + entry]!))) {
      throw unsound(`the sampler of tree ${tree} is out of order`);
    }
  }
}

function within(value: number, high: number): boolean {
  return value >= 0 && value <= high;
}

function unsound(what: string): RandomCutForestError {
  return new RandomCutForestError('INVALID_SNAPSHOT', `the snapshot cannot be read: ${what}`);
}

let table: Uint32Array | undefined;

/** CRC-32 (ISO 3309), as in zip. */
function crc32(bytes: Uint8Array): number {
  if (!table) {
    table = new Uint32Array(256);
    for (let n = 0; n < 256; n++) {
      let c = n;
      for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
      table[n] = c;
    }
  }
  let crc = ~0;
  for (let k = 0; k < bytes.length; k++) crc = table[(crc ^ bytes[k]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
