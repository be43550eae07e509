/** Runs a plan on an engine: values are given back as soon as they are dead, updated parameters change places at the end. */
import { type Graph, inputsOf, type Node, parametersOf } from '../../graph/graph.js';
import { lastReads } from '../../graph/liveness.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import type { ProfileStep, Program } from '../backend.js';
import { stepOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';
import { yieldToEventLoop } from '../common/yield.js';
import type { Engine, Prepared } from './engine.js';
import { type Layout, toDevice, toHost } from './layout.js';
import type { HostValues, Plan, Value, Write } from './plan.js';

/** A call with its operands by number. */
interface Step<H> {
  readonly run: Prepared<H>;
  readonly inputs: readonly number[];
  readonly result: number;
  /** Values that nothing reads after this step. */
  readonly dead: readonly number[];
  readonly node: Node;
  readonly algorithm: string;
}

/** How a plan is compiled. */
interface PlanOptions {
  readonly signal?: AbortSignal;
  /** Why it is not another engine. */
  readonly fallbackReason?: string;
}

/** Compiles a plan. The engine belongs to the program from here on, whatever happens. */
export async function compilePlan<H>(
  graph: Graph,
  weights: Weights,
  plan: Plan,
  engine: Engine<H>,
  options: PlanOptions,
): Promise<Program> {
  try {
    return await build(graph, weights, plan, engine, options);
  } catch (error) {
    engine.dispose();
    throw error;
  }
}

async function build<H>(
  graph: Graph,
  weights: Weights,
  plan: Plan,
  engine: Engine<H>,
  { signal, fallbackReason }: PlanOptions,
): Promise<Program> {
  const calls = plan.calls.map(({ kernel, layout, inputs }) => ({
    kernel,
    layout,
    inputs: inputs.map((input) => input.layout),
  }));
  const { slots, constants, fed, states, outputs } = place(plan);
  const resident = new Map<number, H>();
  // The host computes and packs weights while the device compiles.
  let failed = false;
  const preparing = engine.prepare(calls, signal);
  preparing.catch(() => {
    failed = true;
  });
  try {
    for (const { slot, layout, write } of constants) {
      await yieldToEventLoop();
      signal?.throwIfAborted();
      if (failed) break;
      resident.set(slot, engine.upload(layout, write));
    }
  } finally {
    // Nothing goes on behind an error.
    await preparing.catch(() => undefined);
  }
  const prepared = await preparing;
  await engine.check();
  signal?.throwIfAborted();
  const steps = stepsOf(plan, prepared, slots, new Set([...resident.keys(), ...outputs.values()]));
  const kept = new Map([...parametersOf(graph).keys()].map((name) => [name, weights.get(name)!]));
  const shapes = new Map([...graph.outputs].map(([name, node]) => [name, node.shape]));
  const { checks } = plan;
  const inputs = inputsOf(graph);
  const layouts = new Map([...plan.outputs].map(([name, value]) => [name, value.layout]));
  const lifetime = new Lifetime();

  /** Starts a run; `after` is called behind every step. */
  async function start<T>(
    feeds: ReadonlyMap<string, Tensor>,
    finish: (values: Map<number, H>) => Promise<T>,
    after?: (step: Step<H>) => Promise<void>,
  ): Promise<T> {
    lifetime.requireAlive();
    const host: HostValues = (name) => valuesFor(graph, name, inputs.get(name)!.shape, feeds);
    for (const check of checks) check(host);
    const values = new Map(resident);
    try {
      for (const { slot, layout, of } of fed)
        values.set(
          slot,
          engine.upload(layout, (held) => toDevice(layout, of(host), held)),
        );
      for (const step of steps) {
        values.set(step.result, step.run(step.inputs.map((slot) => values.get(slot)!)));
        await after?.(step);
        for (const slot of step.dead) {
          engine.free(values.get(slot)!);
          values.delete(slot);
        }
      }
      return await finish(values);
    } finally {
      if (!lifetime.ended) for (const [slot, value] of values) if (!resident.has(slot)) engine.free(value);
    }
  }

  /** New values take the places of the old, all at once. */
  function takeOn(values: Map<number, H>): void {
    for (const { slot, next } of states.values()) {
      const [old, fresh] = [resident.get(slot)!, values.get(next)!];
      resident.set(slot, fresh);
      values.delete(next);
      engine.free(old);
    }
  }

  async function run(feeds: ReadonlyMap<string, Tensor>, signal?: AbortSignal) {
    signal?.throwIfAborted();
    return start(feeds, async (values) => {
      const read = await abortable(
        engine.read([...outputs.values()].map((slot) => values.get(slot)!)),
        signal,
      );
      takeOn(values);
      return new Map(
        [...outputs.keys()].map((name, index): [string, Tensor] => [
          name,
          { shape: shapes.get(name)!, data: toHost(layouts.get(name)!, read[index]!) },
        ]),
      );
    });
  }

  return {
    backend: engine.backend,
    threads: 1,
    fallbackReason,
    get memory() {
      return lifetime.ended ? 0 : engine.memory;
    },
    run,
    async parameters() {
      lifetime.requireAlive();
      const values = await engine.read([...states.values()].map(({ slot }) => resident.get(slot)!));
      const changed = [...states].map(([name, { layout }], index): [string, Tensor] => [
        name,
        { shape: layout.shape, data: toHost(layout, values[index]!) },
      ]);
      return new Map([...kept, ...changed]);
    },
    async profile(feeds) {
      const times = new Map<Node, ProfileStep>();
      let since = performance.now();
      await start(
        feeds,
        async (values) => {
          await engine.read([...outputs.values()].map((slot) => values.get(slot)!));
          takeOn(values);
        },
        async ({ node, algorithm }) => {
          await engine.read([]);
          const now = performance.now();
          times.set(node, stepOf(node, algorithm, (times.get(node)?.milliseconds ?? 0) + now - since));
          since = now;
        },
      );
      return {
        backend: engine.backend,
        threads: 1,
        notes: [
          ...engine.notes,
          `${engine.kernels} kernels`,
          'each step is waited for, which a run does not do',
        ],
        steps: [...times.values()],
      };
    },
    dispose: () =>
      lifetime.end(() => {
        resident.clear();
        engine.dispose();
      }),
  };
}

/** Numbers all values, and says which stay on the device and which are given for each run. */
function place(plan: Plan) {
  const slots = new Map<Value, number>();
  const constants: { slot: number; layout: Layout; write: Write }[] = [];
  const fed: { slot: number; layout: Layout; of: (host: HostValues) => Float32Array }[] = [];
  const slotOf = (value: Value): number => {
    const known = slots.get(value);
    if (known !== undefined) return known;
    const slot = slots.size;
    slots.set(value, slot);
    const { layout, origin } = value;
    if (origin.kind === 'fed') fed.push({ slot, layout, of: origin.of });
    else if (origin.kind === 'arranged') constants.push({ slot, layout, write: origin.write });
    else if (origin.kind !== 'call')
      constants.push({ slot, layout, write: (held) => toDevice(layout, origin.values.data, held) });
    return slot;
  };
  for (const { inputs } of plan.calls) inputs.forEach(slotOf);
  const outputs = new Map([...plan.outputs].map(([name, value]) => [name, slotOf(value)]));
  const states = new Map(
    [...plan.updates].map(([name, { state, next }]) => [
      name,
      { slot: slotOf(state), next: slotOf(next), layout: state.layout },
    ]),
  );
  return { slots, constants, fed, outputs, states };
}

/** The calls by number, each with the values that die after it. */
function stepsOf<H>(
  plan: Plan,
  prepared: readonly Prepared<H>[],
  slots: ReadonlyMap<Value, number>,
  kept: ReadonlySet<number>,
): readonly Step<H>[] {
  const results = new Map<object, number>();
  for (const [{ origin }, slot] of slots) if (origin.kind === 'call') results.set(origin.call, slot);
  const needed = plan.calls.flatMap((call, index) => {
    const result = results.get(call);
    return result === undefined ? [] : [{ call, run: prepared[index]!, result }];
  });
  const inputsOf = needed.map(({ call }) => call.inputs.map((input) => slots.get(input)!));
  const last = lastReads(inputsOf);
  const forever = new Set([...kept, ...[...plan.updates.values()].map(({ next }) => slots.get(next)!)]);
  return needed.map(({ call, run, result }, index) => ({
    run,
    inputs: inputsOf[index]!,
    result,
    dead: [...new Set(inputsOf[index])].filter((slot) => last.get(slot) === index && !forever.has(slot)),
    node: call.node,
    algorithm: call.algorithm,
  }));
}

/** Rejects when the signal aborts; the device goes on meanwhile, and what it computes is dropped. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
    work.catch(() => undefined);
  }
}
