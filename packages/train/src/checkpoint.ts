/** Writes and reads checkpoints: the whole state of a run as one safetensors file. */
import { FileFormatError, type Weights, writeSafetensors } from '@cnn/core';
import { builtin, defaultLimits, type Limits, quote, readSafetensors, writeAtomically } from '@cnn/core/io';
import type { RunOptions } from './options.js';
import type { EpochRecord, Position } from './position.js';
import { scheduleName } from './schedules.js';

/**
 * Texts of the numbers that JSON cannot hold: a position has them after an evaluation loss of NaN, and JSON would
 * turn them into null.
 */
const unusual: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** Gives a position as JSON. */
const textOf = (position: Position): string =>
  JSON.stringify(position, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );

/** Content of a checkpoint. */
export interface Checkpoint {
  readonly position: Position;
  /** Name of the optimizer. */
  readonly optimizer: string;
  /** Name of the schedule. */
  readonly schedule: string;
  /** The trainer's option `description`. */
  readonly description?: string | undefined;
  /** Weights by parameter name, and `optimizer.*`, `average.*` and `best.*`. */
  readonly state: Weights;
}

const FORMAT = 'cnn training checkpoint 1';
/** Bytes read at a time. */
const CHUNK = 1 << 24;

/** Gives the bytes of a checkpoint. Equal states give equal bytes. */
export const writeCheckpoint = (checkpoint: Checkpoint): Uint8Array => {
  const { position, optimizer, schedule, description, state } = checkpoint;
  const described: Readonly<Record<string, string>> = description === undefined ? {} : { description };
  return writeSafetensors(state, {
    format: FORMAT,
    optimizer,
    schedule,
    ...described,
    position: textOf(position),
  });
};

/**
 * Reads the bytes of a checkpoint.
 * @throws FileFormatError if they are not a checkpoint.
 */
export function readCheckpoint(bytes: Uint8Array, limits?: Partial<Limits>): Checkpoint {
  const { weights, metadata } = readSafetensors(bytes, limits);
  const { format, optimizer, schedule, description, position = '' } = metadata;
  if (format !== FORMAT)
    throw new FileFormatError(
      'checkpoint',
      `its metadata has ${format === undefined ? "no 'format'" : `the format ${quote(format)}`}, expected '${FORMAT}'; pass plain weights to trainer as 'weights'`,
    );
  if (optimizer === undefined || schedule === undefined)
    throw new FileFormatError(
      'checkpoint',
      `its metadata has no '${optimizer === undefined ? 'optimizer' : 'schedule'}', without which a run cannot continue. Begin the run again`,
    );
  return { state: weights, optimizer, schedule, description, position: positionOf(position) };
}

/** Throws an Error if a checkpoint was written by a run with another optimizer or schedule. */
export function requireSameRecipe(
  { optimizer, schedule, position: { memory } }: Checkpoint,
  options: Pick<RunOptions, 'optimizer' | 'schedule'>,
): void {
  const pairs = [
    ['optimizer', optimizer, options.optimizer.name],
    ['schedule', schedule, scheduleName(options.schedule)],
  ] as const;
  for (const [what, written, own] of pairs)
    if (written !== own)
      throw new Error(
        `The checkpoint was written by a run with the ${what} ${written}, but this trainer has ${own}; use the same.`,
      );
  const { memory: start = [] } = options.schedule;
  // Schedules that others write may share a name.
  if (memory.length !== start.length)
    throw new Error(
      `The checkpoint holds ${memory.length} numbers of the state of the schedule ${schedule}, but the schedule of this trainer has ${start.length}; use the same.`,
    );
}

/** Gives a value from a file for a message, without looking into it: it may be long, deep, or no text at all. */
const shown = (value: unknown): string =>
  typeof value === 'string'
    ? quote(value)
    : typeof value === 'object' && value !== null
      ? 'a list or object'
      : String(value);

const isNumber = (value: unknown): boolean => typeof value === 'number';

/** True if a value read from a file is the record of an epoch. */
function isRecord(value: unknown): value is EpochRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { epoch, loss, accuracy, learningRate, validation } = value as Partial<EpochRecord>;
  return (
    [epoch, loss, accuracy, learningRate].every(isNumber) &&
    (validation === undefined || [validation?.loss, validation?.accuracy].every(isNumber))
  );
}

/** Parses and checks the position in a checkpoint's metadata. */
function positionOf(text: string): Position {
  const fail = (reason: string): never => {
    throw new FileFormatError('checkpoint', `its position ${reason}`);
  };
  const parse = (): unknown => {
    try {
      return JSON.parse(text, (_, value: unknown) => unusual.get(value) ?? value);
    } catch {
      return fail('is not JSON');
    }
  };
  const value = parse();
  if (typeof value !== 'object' || value === null) return fail('is not an object');
  const { best, memory, history, ...numbers } = value as Partial<Position>;
  for (const key of ['seed', 'lossSum', 'lastLoss', 'lastRate'] as const)
    if (typeof numbers[key] !== 'number') fail(`has no number '${key}'`);
  const counts = { step: 0, epoch: 0, within: 0, size: 0, batch: 0, right: 0 };
  for (const key of Object.keys(counts) as (keyof typeof counts)[]) {
    const count = numbers[key];
    if (count === undefined || !Number.isSafeInteger(count) || count < 0)
      return fail(`has '${key}' ${shown(count)}, which must be a whole number from 0 up`);
    counts[key] = count;
  }
  const { within, batch, size } = counts;
  if (within * batch > size)
    fail(`is ${within} steps of ${batch} into an epoch of ${size} examples, beyond its end`);
  if (!Array.isArray(memory) || !memory.every((item) => typeof item === 'number'))
    fail("has no list of numbers 'memory'");
  if (!Array.isArray(history) || !history.every(isRecord)) fail("has no list of epochs 'history'");
  if (best !== undefined && (typeof best?.value !== 'number' || typeof best.waited !== 'number'))
    fail("has no numbers in 'best'");
  if (best !== undefined && best.monitor !== 'loss' && best.monitor !== 'accuracy')
    fail(`has ${shown(best.monitor)} as the monitor of 'best', which must be loss or accuracy`);
  return value as Position;
}

/** Writes the bytes of a checkpoint to a file. A crash leaves the old file or the new one. Node only. */
export async function saveCheckpoint(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeAtomically(path, bytes);
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    const advice =
      code === undefined
        ? 'In a browser store the bytes of checkpoint().'
        : code === 'ENOSPC' || code === 'EDQUOT'
          ? 'The disk is full: make room, or give a path on another disk.'
          : 'Give another path.';
    throw new Error(`Cannot write the checkpoint ${path}: ${message}. ${advice}`, { cause: error });
  }
}

/**
 * Reads a checkpoint from a file. Node only.
 * @throws FileFormatError for a file over `maxBytes`, before its memory is allocated.
 */
export async function loadCheckpoint(path: string, limits: Partial<Limits> = {}): Promise<Checkpoint> {
  const fs = builtin<typeof import('node:fs/promises')>('node:fs/promises');
  if (!fs)
    throw new Error('Checkpoint files can be read in Node 20.16 or newer; in a browser pass the bytes.');
  const maxBytes = limits.maxBytes ?? defaultLimits.maxBytes;
  const file = await fs.open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > maxBytes)
      throw new FileFormatError(
        'checkpoint',
        `${path} has ${size.toLocaleString('en-US')} bytes, over the limit maxBytes of ${maxBytes.toLocaleString('en-US')}. Raise the limit if you trust the file`,
      );
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(CHUNK, size - at), at);
      if (bytesRead === 0) throw new FileFormatError('checkpoint', `${path} ended while it was read`, at);
      at += bytesRead;
    }
    return readCheckpoint(bytes, limits);
  } finally {
    await file.close();
  }
}
