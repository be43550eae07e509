/** Optimizer steps, and the gradient clipping before them. */
import { type OptimizerStepName, optimizerStep } from '../../../../pointwise/optimizer.js';
import { pointwise } from '../../kernels/javascript.js';
import { type Lowering, writeResult } from '../lowering.js';

/** Computes the step of a node, whose op is an optimizer's. */
export const lowerOptimizerStep: Lowering = (context) =>
  writeResult(context, context.inputs, (read, at) => {
    const { names, result } = optimizerStep(context.node.op as OptimizerStepName, context.attrs);
    const inputs: Record<string, string> = {};
    for (const [index, name] of names.entries())
      if (typeof name === 'string') inputs[name] = read[index]!(at);
      else for (const [shared, i] of Object.entries(name)) inputs[shared] = read[index]!([String(i)]);
    return pointwise(result, inputs);
  });
