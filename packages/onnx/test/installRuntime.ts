/** Installs onnxruntime-node for the tests of this package, if it is not there. */
import { fileURLToPath } from 'node:url';
import { installLocked } from '@cnn/testing/lockedPackages';

export default (): Promise<void> => installLocked(fileURLToPath(new URL('../runtime', import.meta.url)));
