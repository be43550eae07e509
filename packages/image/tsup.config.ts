import { preset } from '../../scripts/tsup.preset.js';

export default [
  preset({ format: ['esm'], shims: true }),
  // The codec of PNG is an ES module only: in the CommonJS build it is part of the bundle. That of JPEG is imported
  // on demand, which CommonJS can do too.
  preset({ format: ['cjs'], shims: true, clean: false, noExternal: ['fast-png', 'iobuffer', 'fflate'] }),
];
