/** Installs onnxruntime-node before the tests of this package, if it is not there. */
import { join } from 'node:path';
import { installLocked } from '@cnn/testing/lockedPackages';

export default (): Promise<void> => installLocked(join(import.meta.dirname, '../runtime'));
