import { preset } from '../../scripts/tsup.preset.js';

export default [
  // Without shims: that of __filename imports modules of Node, which pages do not have.
  preset({ format: ['esm'] }),
  // The PNG codec is an ES module only, so the CommonJS build bundles it. The JPEG codec is imported dynamically,
  // which works in CommonJS too.
  preset({ format: ['cjs'], shims: true, clean: false, noExternal: ['fast-png', 'iobuffer', 'fflate'] }),
];
