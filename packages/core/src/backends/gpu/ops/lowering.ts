/** What the lowering of an op gets and gives, and the few ways of writing kernels that many ops share. */
import type { Node } from '../../../graph/graph.js';
import type { Activation } from '../../../ops/activation.js';
import type { Shape } from '../../../tensor/shape.js';
import type { Frame } from '../layout/planar.js';
import type { Body, PlanBuilder, Read, Value } from '../plan/plan.js';

/** A node to lower. */
export interface Lowering<A extends object> {
  readonly node: Node<A>;
  readonly attrs: A;
  readonly shape: Shape;
  /** The frame its readers want around the result. */
  readonly frame: Frame;
  readonly inputs: readonly Value[];
  readonly plan: PlanBuilder;
}

/** Turns a node into kernel calls and says where its value is. */
export type Lower<A extends object> = (lowering: Lowering<A>) => Value;

/** A number as it is written in a kernel. */
export const literal = (value: number): string => (value < 0 ? `(${value})` : `${value}`);

/** The final kernel of a node: writes the result, frame and all. */
export const finish = (
  { plan, shape, frame }: Lowering<object>,
  inputs: readonly Value[],
  body: (read: readonly Read[], at: readonly string[]) => Body,
): Value => plan.kernel({ inputs, shape, frame, body });

/** An expression for an activation of the variable x. Written so that no exponential overflows. */
export function activationOf(activation: Activation | undefined, x: string): string {
  const sigmoid = `(1 / (1 + Math.exp(Math.min(-${x}, 80))))`;
  const gate = `Math.min(Math.max(${x} + 3, 0), 6) / 6`;
  switch (activation?.fn) {
    case undefined:
      return x;
    case 'relu':
      return `Math.max(${x}, 0)`;
    case 'relu6':
      return `Math.min(Math.max(${x}, 0), 6)`;
    case 'leakyRelu':
      return `Math.max(${x}, 0) + ${literal(activation.slope)} * Math.min(${x}, 0)`;
    case 'sigmoid':
      return sigmoid;
    case 'tanh':
      return `(2 / (1 + Math.exp(Math.min(-2 * ${x}, 80))) - 1)`;
    case 'silu':
      return `${x} * ${sigmoid}`;
    case 'hardSwish':
      return `${x} * (${gate})`;
    case 'hardSigmoid':
      return gate;
  }
}

/** A sum with its activation. */
export const activated = (activation: Activation | undefined, sum: string, before = ''): Body =>
  activation
    ? { statements: `${before}\nconst s = ${sum};`, value: activationOf(activation, 's') }
    : { statements: before, value: sum };

/** Element by element: every input has the result's shape. */
export const elementwise =
  <A extends object>(
    body: (attrs: A, values: readonly string[], at: readonly string[]) => Body | string,
  ): Lower<A> =>
  (call) =>
    finish(call, call.inputs, (read, at) => {
      const written = body(
        call.attrs,
        read.map((one) => one(at)),
        at,
      );
      return typeof written === 'string' ? { value: written } : written;
    });

/** A loop over whole numbers below `count`. */
export const loop = (name: string, count: number, inner: string): string =>
  `for (let ${name} = 0; ${name} < ${count}; ${name}++) {\n${inner}\n}`;
