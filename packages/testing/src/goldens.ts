/** Reads the golden files: PyTorch's numbers for ops, models and training runs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Shape } from '@cnn/core';
import type { ModelGolden } from './modelGolden.js';

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

/** Reads a model golden that stands beside a family's tests. */
export const readModelGolden = (path: string): ModelGolden =>
  JSON.parse(readFileSync(path, 'utf8')) as ModelGolden;
