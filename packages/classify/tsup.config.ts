import { preset } from '../../scripts/tsup.preset.js';

export default [
  // Without shims: that of __filename imports modules of Node, which pages do not have.
  preset({ format: ['esm'] }),
  preset({ format: ['cjs'], shims: true, clean: false }),
];
