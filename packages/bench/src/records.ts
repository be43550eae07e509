/**
 * Stores measurements in a JSON file. A run replaces only the rows that it measured, so the tables can be
 * built in parts.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { root } from './cacheFolder.js';
import type { Row } from './measure.js';

/** The computer on which the rows were measured. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** In GB. */
  readonly memory: number;
  /** Relevant vector extensions, separated by commas; empty if the system does not list them. */
  readonly vectors: string;
  readonly system: string;
}

/** One row with its date; all contenders of a row are measured together. */
export interface DatedRow {
  readonly date: string;
  /** Revision of `@cnn/core`: see {@link coreRevision}. */
  readonly core?: string;
  /** Share of the cores that other programs used before the row; undefined up to {@link BUSY_SHARE}. */
  readonly busy?: number;
  readonly results: Row;
}

/** Contents of the JSON file. */
export interface Records {
  readonly machine: Machine;
  /** Versions of runtimes and libraries by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Rows by suite, then by network. */
  readonly rows: Readonly<Record<string, Readonly<Record<string, DatedRow>>>>;
}

/** If other programs use more than this share of the cores, measured times are too long. */
export const BUSY_SHARE = 0.1;

/** Describes this computer. */
export function thisMachine(): Machine {
  const flags = existsSync('/proc/cpuinfo')
    ? /^flags\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))
    : null;
  const known = (flags?.[1] ?? '').split(' ');
  const vectors = ['avx2', 'fma', 'avx512f', 'avx512_vnni', 'amx_tile'].filter((flag) =>
    known.includes(flag),
  );
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: Math.round(totalmem() / 2 ** 30),
    vectors: vectors.join(', '),
    system: `${process.platform} ${process.arch}`,
  };
}

/** Folder whose revision {@link coreRevision} returns. */
export const CORE_SOURCES = 'packages/core/src';

/**
 * Revision of `@cnn/core`: the first eight digits of its git tree (`git rev-parse HEAD:packages/core/src`),
 * followed by a plus if files differ from it. Undefined outside a git repository.
 */
export function coreRevision(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return (
      git('rev-parse', '--short=8', `HEAD:${CORE_SOURCES}`) +
      (git('status', '--porcelain', CORE_SOURCES) && '+')
    );
  } catch {
    return undefined;
  }
}

/** Reads the records of a file; without a file returns records without rows. */
export function readRecords(path: string): Records {
  if (!existsSync(path)) return { machine: thisMachine(), versions: {}, rows: {} };
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Records;
  } catch (error) {
    throw new Error(
      `${path} is not a file of measurements: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** Returns the records with one row added or replaced. */
export function withRow(
  records: Records,
  versions: Readonly<Record<string, string>>,
  suite: string,
  network: string,
  row: DatedRow,
): Records {
  return {
    machine: records.machine,
    versions: { ...records.versions, ...versions },
    rows: { ...records.rows, [suite]: { ...records.rows[suite], [network]: row } },
  };
}

/** @throws Error if the records come from another machine. */
export function requireSameMachine(path: string, { machine }: Records): void {
  const here = thisMachine();
  if (machine.processor !== here.processor || machine.cores !== here.cores)
    throw new Error(
      `${path} was measured on ${machine.processor} with ${machine.cores} cores, this machine is ${here.processor} with ${here.cores}; pass another file with --json.`,
    );
}

/** Writes the records to a file. */
export const writeRecords = (path: string, records: Records): void =>
  writeFileSync(path, `${JSON.stringify(records, null, 2)}\n`);
