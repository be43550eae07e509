import { writeFile } from 'node:fs/promises';
import { preset } from '../../scripts/tsup.preset.js';
import { workerSource } from './src/backends/wasm/runtime/workerSource.js';

export default preset({
  // The workers' program as a file too, for pages that may not start workers from a text.
  onSuccess: () => writeFile('dist/worker.js', workerSource),
});
