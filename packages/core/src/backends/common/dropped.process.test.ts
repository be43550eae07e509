/** Tests that sessions which are dropped without `dispose` give their memory and threads back. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { type Backend, compile, initialise, linear, wasmBackend } from '../../index.js';

const model = linear(4, 2);
const weights = initialise(model, { seed: 1 });
const x = new Float32Array(4);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Counts the programs of the wasm back end that are disposed of. */
const disposed = vi.fn();
const backend: Backend = {
  name: 'counted',
  async compile(...parameters) {
    const program = await wasmBackend().compile(...parameters);
    return Object.assign(program, {
      dispose: ((dispose) => () => {
        disposed();
        return dispose();
      })(program.dispose),
    });
  },
};
const make = (threads: number) => compile(model, { weights, input: [1, 4], backend, threads });

test('a dropped session is disposed of, with one warning; a kept one, a running one and a disposed one are not', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const kept = await make(2);
  // A method alone keeps its session.
  const { run } = await make(1);
  const own = await make(1);
  await own.dispose();
  expect(disposed).toHaveBeenCalledTimes(1);
  for (let i = 0; i < 3; i++) await (await make(2)).run(x);
  const unawaited = (await make(1)).run(x);
  await vi.waitFor(
    () => {
      collect();
      expect(disposed).toHaveBeenCalledTimes(5);
    },
    { timeout: 20_000, interval: 20 },
  );
  expect((await unawaited).shape).toEqual([1, 2]);
  expect(warn).toHaveBeenCalledOnce();
  expect(warn.mock.lastCall![0]).toMatch(/dropped without dispose\(\): its \d+ MiB are freed late/);
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await kept.run(x);
  await run(x);
  expect(disposed).toHaveBeenCalledTimes(5);
  warn.mockRestore();
  await kept.dispose();
});
