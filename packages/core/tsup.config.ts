import { writeFile } from 'node:fs/promises';
import { moduleText, moduleTextPlugin } from '../../scripts/moduleText.mjs';
import { preset } from '../../scripts/tsup.preset.js';

export default preset({
  esbuildPlugins: [moduleTextPlugin],
  // The worker's program as a file too, for pages whose content security policy forbids workers from text.
  onSuccess: async () => {
    const { text } = await moduleText('src/backends/wasm/runtime/worker.ts');
    await writeFile('dist/worker.js', text);
  },
});
