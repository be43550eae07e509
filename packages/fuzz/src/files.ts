/**
 * Reads crafted files, valid ones and damaged ones: each must give a consistent result or an error of ours, in time
 * and memory that its bytes and its stated size bound.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Draw } from './draw.js';
import { cifar10, gzippedIdx, idx } from './files/datasets.js';
import type { Format } from './files/format.js';
import { jpeg } from './files/jpeg.js';
import { judge } from './files/judge.js';
import { checkpoint, description, runSettings } from './files/metadata.js';
import { legacy, pickle } from './files/pickle.js';
import { png } from './files/png.js';
import { index, onDemand, safetensors } from './files/safetensors.js';
import { npz, torchZip } from './files/zip.js';
import { type FormatCounts, type FuzzOptions, type Report, runCases } from './report.js';
import { Watchdog } from './watchdog.js';

/** Time after which the process is killed, in milliseconds. */
const TIMEOUT_MS = 60_000;

/** Bytes of a failing file that are printed; the seed makes the whole one again. */
const SHOWN = 600;

/** Gives the formats. @param folder - holds the files of those that are read by path. */
const formatsIn = (folder: string): readonly Format[] => [
  png,
  jpeg,
  torchZip,
  legacy,
  pickle,
  npz,
  safetensors,
  onDemand(folder),
  index(folder),
  idx,
  gzippedIdx,
  cifar10,
  description(folder),
  checkpoint,
  runSettings(folder),
];

/** Files of a format for each one of those that are read from disk, which takes ten times as long. */
const shares: Readonly<Record<string, number>> = {
  PNG: 4,
  JPEG: 3,
  'torch zip': 5,
  'legacy torch': 6,
  pickle: 6,
  npz: 6,
  safetensors: 12,
  IDX: 6,
  'gzipped IDX': 2,
  'CIFAR-10': 3,
  checkpoint: 8,
};

/** Reads, for each seed, a file of one of the formats. */
export async function fuzzFiles(options: FuzzOptions): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'cnn-fuzz-'));
  const watchdog = new Watchdog(TIMEOUT_MS);
  const all = formatsIn(folder);
  const drawn = all.flatMap((format) => Array<Format>(shares[format.name] ?? 1).fill(format));
  const counts = new Map<string, FormatCounts>(
    all.map(({ name }) => [name, { files: 0, beyond: 0, read: 0, failed: 0 }]),
  );
  try {
    const report = await runCases(options, async (seed) => {
      watchdog.beat(seed);
      const draw = new Draw(seed);
      const format = draw.pick(drawn);
      const file = format.craft(draw);
      const { isRead, isBeyond, problem } = await judge(format, file);
      const { files, beyond, read, failed } = counts.get(format.name)!;
      counts.set(format.name, {
        files: files + 1,
        beyond: beyond + Number(isBeyond),
        read: read + Number(isRead),
        failed: failed + Number(problem !== undefined),
      });
      if (problem === undefined) return {};
      const base64 = Buffer.from(file.bytes.subarray(0, SHOWN)).toString('base64');
      return {
        problem: `${format.name}: ${problem}. The file of ${file.bytes.length} bytes, in base64: ${base64}`,
      };
    });
    return { ...report, formats: Object.fromEntries(counts) };
  } finally {
    watchdog.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
