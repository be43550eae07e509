/** Tests what the conformance suite does not: how a compilation fails. */
import { expect, test } from 'vitest';
import { Graph } from '../../graph/graph.js';
import { referenceBackend } from './reference.js';

test('an aborted compilation rejects, and does not throw', async () => {
  const signal = AbortSignal.abort(new Error('no longer wanted'));
  const compiling = referenceBackend().compile(new Graph(), new Map(), { signal });
  await expect(compiling).rejects.toThrow('no longer wanted');
});
