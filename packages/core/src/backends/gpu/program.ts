/** Runs a plan on a device. Tensors are freed after their last use; updates replace parameters at the end. */
import { type Graph, inputsOf, type Node, parametersOf } from '../../graph/graph.js';
import { lastReads } from '../../graph/liveness.js';
import type { Tensor, Weights } from '../../tensor/tensor.js';
import { yieldToEventLoop } from '../../yield.js';
import type { ProfileStep, Program } from '../backend.js';
import { stepOf } from '../common/describe.js';
import { valuesFor } from '../common/feeds.js';
import { Lifetime } from '../common/lifetime.js';
import type { CompiledCall, DeviceRuntime } from './device/runtime.js';
import type { Layout } from './layout/types.js';
import type { HostValues, Plan, PlannedTensor, WriteStaged } from './plan/plan.js';

/** Kernel call whose tensors are given by slot number. */
interface Step<Handle> {
  readonly run: CompiledCall<Handle>;
  readonly inputs: readonly number[];
  readonly result: number;
  /** Tensors that no later step reads. */
  readonly dead: readonly number[];
  readonly node: Node;
  readonly algorithm: string;
}

/** Options of {@link compilePlan}. */
interface PlanOptions {
  readonly signal?: AbortSignal;
  /** Reason why the program does not run in another mode. */
  readonly fallbackReason?: string;
}

/** Compiles a plan. The program owns the runtime: it is disposed of with it, or if compiling fails. */
export async function compilePlan<Handle>(
  graph: Graph,
  weights: Weights,
  plan: Plan,
  runtime: DeviceRuntime<Handle>,
  options: PlanOptions,
): Promise<Program> {
  try {
    return await build(graph, weights, plan, runtime, options);
  } catch (error) {
    runtime.dispose();
    throw error;
  }
}

async function build<Handle>(
  graph: Graph,
  weights: Weights,
  plan: Plan,
  runtime: DeviceRuntime<Handle>,
  { signal, fallbackReason }: PlanOptions,
): Promise<Program> {
  const calls = plan.calls.map(({ kernel, layout, inputs }) => ({
    kernel,
    layout,
    inputs: inputs.map((input) => input.layout),
  }));
  const { slots, constants, fed, states, outputs } = assignSlots(plan);
  /** Tensors that stay on the device, by slot. */
  const resident = new Map<number, Handle>();
  // The host computes and packs weights while the device compiles.
  let failed = false;
  const preparing = runtime.prepare(calls, signal);
  preparing.catch(() => {
    failed = true;
  });
  try {
    for (const { slot, layout, write } of constants) {
      await yieldToEventLoop();
      signal?.throwIfAborted();
      if (failed) break;
      resident.set(slot, runtime.upload(layout, write));
    }
  } finally {
    // No work may go on after an error is thrown.
    await preparing.catch(() => undefined);
  }
  const prepared = await preparing;
  await runtime.check();
  signal?.throwIfAborted();
  const steps = stepsOf(plan, prepared, slots, new Set([...resident.keys(), ...outputs.values()]));
  const kept = new Map([...parametersOf(graph).keys()].map((name) => [name, weights.get(name)!]));
  const shapes = new Map([...graph.outputs].map(([name, node]) => [name, node.shape]));
  const { checks } = plan;
  const inputs = inputsOf(graph);
  const layouts = new Map([...plan.outputs].map(([name, value]) => [name, value.layout]));
  const lifetime = new Lifetime();

  /**
   * Runs all steps.
   * @param finish - called after the last step with the tensors by slot; those it leaves are freed.
   * @param after - called after each step.
   */
  async function runSteps<T>(
    feeds: ReadonlyMap<string, Tensor>,
    finish: (tensors: Map<number, Handle>) => Promise<T>,
    after?: (step: Step<Handle>) => Promise<void>,
  ): Promise<T> {
    lifetime.requireAlive();
    const host: HostValues = (name) => valuesFor(graph, name, inputs.get(name)!.shape, feeds);
    for (const check of checks) check(host);
    const tensors = new Map(resident);
    try {
      for (const { slot, layout, of } of fed)
        tensors.set(
          slot,
          runtime.upload(layout, (staged) => layout.toDevice(of(host), staged)),
        );
      for (const step of steps) {
        tensors.set(step.result, step.run(step.inputs.map((slot) => tensors.get(slot)!)));
        await after?.(step);
        for (const slot of step.dead) {
          runtime.free(tensors.get(slot)!);
          tensors.delete(slot);
        }
      }
      return await finish(tensors);
    } finally {
      if (!lifetime.ended)
        for (const [slot, tensor] of tensors) if (!resident.has(slot)) runtime.free(tensor);
    }
  }

  /** Replaces the parameters by their new values, all at once. */
  function commitUpdates(tensors: Map<number, Handle>): void {
    for (const { slot, next } of states.values()) {
      const old = resident.get(slot)!;
      resident.set(slot, tensors.get(next)!);
      tensors.delete(next);
      runtime.free(old);
    }
  }

  async function run(feeds: ReadonlyMap<string, Tensor>, signal?: AbortSignal) {
    signal?.throwIfAborted();
    return runSteps(feeds, async (tensors) => {
      const staged = await abortable(
        runtime.read([...outputs.values()].map((slot) => tensors.get(slot)!)),
        signal,
      );
      commitUpdates(tensors);
      return new Map(
        [...outputs.keys()].map((name, index): [string, Tensor] => [
          name,
          { shape: shapes.get(name)!, data: layouts.get(name)!.toHost(staged[index]!) },
        ]),
      );
    });
  }

  return {
    backend: runtime.backend,
    threads: 1,
    fallbackReason,
    get memory() {
      return lifetime.ended ? 0 : runtime.memory;
    },
    run,
    async parameters() {
      lifetime.requireAlive();
      const staged = await runtime.read([...states.values()].map(({ slot }) => resident.get(slot)!));
      const changed = [...states].map(([name, { layout }], index): [string, Tensor] => [
        name,
        { shape: layout.shape, data: layout.toHost(staged[index]!) },
      ]);
      return new Map([...kept, ...changed]);
    },
    async profile(feeds) {
      const times = new Map<Node, ProfileStep>();
      let since = performance.now();
      await runSteps(
        feeds,
        async (tensors) => {
          await runtime.read([...outputs.values()].map((slot) => tensors.get(slot)!));
          commitUpdates(tensors);
        },
        async ({ node, algorithm }) => {
          await runtime.read([]);
          const now = performance.now();
          times.set(node, stepOf(node, algorithm, (times.get(node)?.milliseconds ?? 0) + now - since));
          since = now;
        },
      );
      return {
        backend: runtime.backend,
        threads: 1,
        notes: [
          ...runtime.notes,
          `${runtime.kernels} kernels`,
          'times include a wait after each step, which a run does not have',
        ],
        steps: [...times.values()],
      };
    },
    dispose: () =>
      lifetime.end(() => {
        resident.clear();
        runtime.dispose();
      }),
  };
}

/**
 * Numbers all tensors that the calls need, and lists those to upload once and those to upload for each run.
 */
function assignSlots(plan: Plan) {
  const slots = new Map<PlannedTensor, number>();
  const constants: { slot: number; layout: Layout; write: WriteStaged }[] = [];
  const fed: { slot: number; layout: Layout; of: (host: HostValues) => Float32Array }[] = [];
  const slotOf = (tensor: PlannedTensor): number => {
    const known = slots.get(tensor);
    if (known !== undefined) return known;
    const slot = slots.size;
    slots.set(tensor, slot);
    const { layout, origin } = tensor;
    if (origin.kind === 'fed') fed.push({ slot, layout, of: origin.of });
    else if (origin.kind === 'prepacked') constants.push({ slot, layout, write: origin.write });
    else if (origin.kind !== 'call')
      constants.push({ slot, layout, write: (staged) => layout.toDevice(origin.values.data, staged) });
    return slot;
  };
  for (const { inputs } of plan.calls) inputs.forEach(slotOf);
  const outputs = new Map([...plan.outputs].map(([name, tensor]) => [name, slotOf(tensor)]));
  const states = new Map(
    [...plan.updates].map(([name, { state, next }]) => [
      name,
      { slot: slotOf(state), next: slotOf(next), layout: state.layout },
    ]),
  );
  return { slots, constants, fed, outputs, states };
}

/**
 * Gives the calls whose results are used, each with the tensors to free after it. `kept` are slots that are
 * never freed.
 */
function stepsOf<Handle>(
  plan: Plan,
  prepared: readonly CompiledCall<Handle>[],
  slots: ReadonlyMap<PlannedTensor, number>,
  kept: ReadonlySet<number>,
): readonly Step<Handle>[] {
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

/** Rejects when the signal aborts. The device finishes the work, and its results are dropped. */
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
