/**
 * Modules: functions from node to node with typed, named children. The path of names from the model down to a
 * parameter is the parameter's name in the state dict; nothing is registered anywhere.
 */

import type { Node, Param } from '../graph/graph.js';
import { describeValue } from '../realms.js';

/** A child of a module: a parameter, a module, an array of modules, or undefined for an absent one. */
export type Child = Param | Module | readonly Module[] | undefined;

/** Children by name, in state-dict order. */
export type Children = Readonly<Record<string, Child>>;

/** The children as the forward function gets them: parameters have become nodes of the graph. */
export type Lifted<C extends Children> = { readonly [K in keyof C]: LiftedChild<C[K]> };
type LiftedChild<T> = T extends Param ? Node : T;

/** The forward function of a module: computes the output node from the children and the input node. */
export type Forward<C extends Children> = (children: Lifted<C>, x: Node) => Node;

/** A function from node to node, with the children it uses. */
export interface Module<C extends Children = Children> {
  (x: Node): Node;
  readonly children: C;
  /**
   * The forward function; `replace` calls it with other children. Declared as a method, so that a `Module<C>`
   * is assignable to `Module`.
   */
  forward(children: Lifted<C>, x: Node): Node;
}

/** True if a child is a single module. */
export const isModule = (child: unknown): child is Module =>
  typeof child === 'function' && 'children' in child;

/** Throws a TypeError for a value that is no module, such as a builder that was not called. */
export function requireModule(model: unknown): void {
  if (isModule(model)) return;
  const cure = typeof model === 'function' ? '; call the function that builds it, as in resnet18()' : '';
  throw new TypeError(`A model is a module, got ${describeValue(model)}${cure}.`);
}

/** True if a child is a parameter. */
export const isParam = (child: Child): child is Param =>
  child !== undefined && 'kind' in child && child.kind === 'param';

/**
 * Makes a module.
 * @param children - parameters and modules by name, in state-dict order.
 * @param forward - computes the output from the children and the input.
 * @example
 * const residual = module({ conv: conv2d(8, 8, 3, { padding: 1 }) }, (m, x) => add(x, m.conv(x)));
 */
export function module<const C extends Children>(children: C, forward: Forward<C>): Module<C> {
  const self: Module<C> = Object.assign(
    (x: Node): Node =>
      x.graph.enter(self, () => {
        const lifted = Object.fromEntries(
          Object.entries(children).map(([name, child]) => [
            name,
            isParam(child) ? x.graph.lift(child) : child,
          ]),
        );
        return forward(lifted as Lifted<C>, x);
      }),
    { children, forward },
  );
  return self;
}

/** Applies functions one after the other, each to the output of the one before. */
export const pipe = (x: Node, ...steps: readonly ((x: Node) => Node)[]): Node =>
  steps.reduce((value, step) => step(value), x);

/**
 * Makes a module that applies modules and plain functions one after the other (PyTorch's Sequential).
 * Children are named `'0'`, `'1'`, ... by position. Plain functions count too: in PyTorch, activations are
 * modules.
 */
export const sequential = (...steps: readonly (Module | ((x: Node) => Node))[]): Module =>
  named(Object.fromEntries(steps.map((step, index) => [String(index), step])));

/** Makes a module that applies named steps one after the other: PyTorch's Sequential of an OrderedDict. */
export function named(steps: Readonly<Record<string, Module | ((x: Node) => Node)>>): Module {
  const modules = Object.entries(steps).filter((entry): entry is [string, Module] => isModule(entry[1]));
  return module(Object.fromEntries(modules) as Children, (children, x) =>
    pipe(
      x,
      ...Object.entries(steps).map(([name, step]) => (isModule(step) ? (children[name] as Module) : step)),
    ),
  );
}
