/** Reads the golden files: PyTorch's numbers for ops, models and training runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shape } from '@cnn/core';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** Folder with real data (photos, checkpoints, MNIST), or undefined where there is none. */
export function realData(): string | undefined {
  const folder = process.env.CNN_SHARED ?? join(repository, '../shared');
  return existsSync(join(folder, 'data')) ? join(folder, 'data') : undefined;
}

/** One tensor of an op golden: generated from scale and offset. */
export interface GoldenInput {
  readonly shape: Shape;
  readonly scale: number;
  readonly offset: number;
}

/** One case of an op golden. */
export interface OpCase {
  readonly id: string;
  readonly op: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, GoldenInput>>;
  readonly out: Readonly<Record<string, { readonly shape: Shape; readonly data: readonly number[] }>>;
}

/** All cases of all ops. */
export function opCases(): readonly OpCase[] {
  const folder = join(repository, 'packages/testing/goldens/ops');
  return readdirSync(folder).flatMap(
    (file) => (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { cases: OpCase[] }).cases,
  );
}

/** A golden run of a model. */
export interface ModelRun {
  readonly input: Shape;
  readonly macsPerImage: number;
  readonly outputShape: Shape;
  /** All logits of image 0. */
  readonly logits0: readonly number[];
  /** What is known of the other images. */
  readonly rest: readonly {
    readonly image: number;
    readonly first10: readonly number[];
    readonly sum: number;
    readonly sumAbs: number;
    readonly argmax: number;
  }[];
  readonly logitAbsMax: number;
  /** PyTorch's own float32 deviation from float64. */
  readonly f32MaxAbsDev: number;
  /** Path, shape without batch, mean, standard deviation and largest absolute value of module outputs. */
  readonly stages: readonly (readonly [string, Shape, number, number, number])[];
}

/** The golden of a model. */
export interface ModelGolden {
  readonly id: string;
  readonly gain2: number;
  readonly params: number;
  readonly weightBitsum: number;
  readonly state: readonly (readonly [string, Shape])[];
  readonly runs: readonly ModelRun[];
}

/** Reads a model golden that stands beside a family's tests. */
export const readModelGolden = (path: string): ModelGolden =>
  JSON.parse(readFileSync(path, 'utf8')) as ModelGolden;

/** How far a float32 result may be from PyTorch's float64: twenty times PyTorch's own deviation, and a little. */
export const modelTolerance = ({ f32MaxAbsDev, logitAbsMax }: ModelRun): number =>
  20 * f32MaxAbsDev + 1e-5 * logitAbsMax;
