/**
 * Modules: a model is a function from node to node with typed, named children. The path of names from
 * the model down to a parameter is the parameter's name in a state dict; nothing is registered anywhere.
 */
import type { Node, Param } from '../graph/graph.js';

/** What a module may have under a name. */
export type Child = Param | Module | readonly Module[] | undefined;

/** Children by name, in state-dict order. */
export type Children = Readonly<Record<string, Child>>;

/** The children as the forward function sees them: parameters have become nodes of the graph. */
export type Lifted<C extends Children> = { readonly [K in keyof C]: LiftedChild<C[K]> };
type LiftedChild<T> = T extends Param ? Node : T;

/** What a module does with its input. */
export type Forward<C extends Children> = (children: Lifted<C>, x: Node) => Node;

/** A function from node to node, with the children it uses. */
export interface Module<C extends Children = Children> {
  (x: Node): Node;
  readonly children: C;
  /**
   * The function with the children left open, so that a child can be replaced. Written as a method so
   * that a module of particular children is a module of any.
   */
  forward(children: Lifted<C>, x: Node): Node;
}

/** Whether a child is a single module. */
export const isModule = (child: unknown): child is Module =>
  typeof child === 'function' && 'children' in child;

/** Whether a child is a parameter. */
export const isParam = (child: Child): child is Param =>
  child !== undefined && 'kind' in child && child.kind === 'param';

/**
 * A module from its children and what it does with them.
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

/** Sends x through the functions, one after the other. */
export const pipe = (x: Node, ...steps: readonly ((x: Node) => Node)[]): Node =>
  steps.reduce((value, step) => step(value), x);

/**
 * Modules and plain functions in a row. Each counts for the names `'0'`, `'1'`, ..., as in PyTorch,
 * where activations and poolings have a number too.
 */
export const sequential = (...steps: readonly (Module | ((x: Node) => Node))[]): Module =>
  named(Object.fromEntries(steps.map((step, index) => [String(index), step])));

/** Modules and plain functions in a row, by name: PyTorch's Sequential of an OrderedDict. */
export function named(steps: Readonly<Record<string, Module | ((x: Node) => Node)>>): Module {
  const modules = Object.entries(steps).filter((entry): entry is [string, Module] => isModule(entry[1]));
  return module(Object.fromEntries(modules) as Children, (children, x) =>
    pipe(
      x,
      ...Object.entries(steps).map(([name, step]) => (isModule(step) ? (children[name] as Module) : step)),
    ),
  );
}
