/** A record has the traits that its role and attributes ask for, and they fit its inputs. */
import { expect, test } from 'vitest';
import type { Activation } from './activation.js';
import { defineOp, type OpDefinition } from './define.js';
import { ops } from './index.js';

const rest = {
  op: 'identity',
  layout: 'activations',
  shape: ([x]: readonly (readonly number[])[]) => x!,
  reference: () => undefined,
  gradient: 'none',
  flops: () => 0,
} as const;

test('the compiler asks for traits whose absence would go unnoticed', () => {
  defineOp<object>({ ...rest, role: 'inference', perImage: false });
  defineOp<object, 'training'>({ ...rest, role: 'training' });
  // @ts-expect-error an op of inference says whether it computes each picture alone
  defineOp<object>({ ...rest, role: 'inference' });
  // @ts-expect-error an op with an activation may be fused with one
  defineOp<{ activation?: Activation }, 'training'>({ ...rest, role: 'training' });
  // @ts-expect-error the role is that of the type
  defineOp<object>({ ...rest, role: 'training', perImage: false });
});

test.each(Object.entries(ops as unknown as Readonly<Record<string, OpDefinition>>))(
  '%s is named as in the table, and owns no input that it overwrites',
  (name, { op, inPlace = [], parameters = [] }) => {
    expect(op).toBe(name);
    expect(inPlace.filter((index) => parameters.includes(index))).toEqual([]);
  },
);
