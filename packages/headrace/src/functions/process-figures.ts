import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** Ticks of `/proc/PID/stat`: 100 a second on every Linux that Node runs on (USER_HZ). */
const ticksPerSecond = 100;
const scratch = Buffer.allocUnsafe(1_024);
let pageBytes = 0;

/** CPU and resident memory of a process from `/proc`; undefined where there is none, or when the process is gone. */
export function processFigures(pid: number): { cpuSeconds: number; residentBytes: number } | undefined {
  if (process.platform !== 'linux') return undefined;
  let descriptor: number;
  try {
    descriptor = openSync(`/proc/${pid}/stat`, 'r');
  } catch {
    return undefined;
  }
  try {
    const text = scratch.toString('latin1', 0, readSync(descriptor, scratch, 0, scratch.length, 0));
    // The second field is the command in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    return { cpuSeconds: ticks / ticksPerSecond, residentBytes: Number(fields[21]) * pageSize() };
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** The same of a process and all of its descendants: behind a sandbox the function is a grandchild. */
export function treeFigures(pid: number): { cpuSeconds: number; residentBytes: number } | undefined {
  const figures = processFigures(pid);
  if (figures === undefined) return undefined;
  let children = '';
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  } catch {
    // Gone, or a kernel without this file.
  }
  for (const child of children.split(' ').filter((each) => each !== '')) {
    const more = treeFigures(Number(child));
    if (more === undefined) continue;
    figures.cpuSeconds += more.cpuSeconds;
    figures.residentBytes += more.residentBytes;
  }
  return figures;
}

/** 4 KiB, or 16 or 64 on some ARM kernels; Node does not tell, but its own resident size is a multiple of it. */
function pageSize(): number {
  if (pageBytes === 0) {
    const own = readFileSync('/proc/self/stat', 'latin1');
    const pages = Number(own.slice(own.lastIndexOf(')') + 2).split(' ')[21]);
    pageBytes = 2 ** Math.round(Math.log2(process.memoryUsage.rss() / pages));
  }
  return pageBytes;
}
