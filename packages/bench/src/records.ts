/** The measurements on file: a run replaces the rows that it measured, so that the tables can be made in pieces. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Row } from './measure.js';
import { root } from './workplace.js';

/** The computer that measured. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  /** In GB. */
  readonly memory: number;
  /** The vector instructions that matter here, where the system tells. */
  readonly vectors: string;
  readonly system: string;
}

/** One row with the day on which it was measured: contenders of a row are always measured together. */
export interface DatedRow {
  readonly date: string;
  /** What was measured: see `stateOfCore`. */
  readonly core?: string;
  /** Share of the cores that other programs used before it; missing where it does not matter. */
  readonly busy?: number;
  readonly results: Row;
}

/** Everything on file. */
export interface Records {
  readonly machine: Machine;
  /** Versions of runtimes and peers by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** By suite, then by network. */
  readonly rows: Readonly<Record<string, Readonly<Record<string, DatedRow>>>>;
}

/** Other programs that use more of the cores than this make times too long. */
export const BUSY = 0.1;

/** This computer. */
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

/** Where the sources lie of which `stateOfCore` speaks. */
export const CORE = 'packages/core/src';

/**
 * Which state of `@cnn/core` is here: the first digits of what `git rev-parse HEAD:packages/core/src` says, with a plus
 * where files differ from it; undefined outside of a git repository.
 */
export function stateOfCore(): string | undefined {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short=8', `HEAD:${CORE}`) + (git('status', '--porcelain', CORE) && '+');
  } catch {
    return undefined;
  }
}

/** The records of a file; none where there is no file. */
export function readRecords(path: string): Records {
  if (!existsSync(path)) return { machine: thisMachine(), versions: {}, rows: {} };
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Records;
  } catch (error) {
    throw new Error(`${path} holds no measurements: ${error instanceof Error ? error.message : error}`);
  }
}

/** The records with a row in the place of the one before. @throws Error for a row of another machine. */
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

/** Throws where the records come from another machine. */
export function requireSameMachine(path: string, { machine }: Records): void {
  const here = thisMachine();
  if (machine.processor !== here.processor || machine.cores !== here.cores)
    throw new Error(
      `${path} was measured on ${machine.processor} with ${machine.cores} cores, this is ${here.processor} with ${here.cores}; name another file with --json.`,
    );
}

/** Writes the records to a file. */
export const writeRecords = (path: string, records: Records): void =>
  writeFileSync(path, `${JSON.stringify(records, null, 2)}\n`);
