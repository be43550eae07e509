/** Finds SwiftShader, the software Vulkan of every Chromium, which WebGPU in Node uses if there is no GPU. */
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { FoundBrowser } from './browser.js';

/**
 * Returns environment variables with which the package `webgpu` finds SwiftShader; undefined if it is not
 * found.
 */
export function softwareVulkan(browser: FoundBrowser | undefined): Record<string, string> | undefined {
  const folders = [...(browser ? [dirname(browser.executablePath)] : []), '/usr/lib/chromium'];
  const folder = folders.find((path) =>
    ['libvulkan.so.1', 'vk_swiftshader_icd.json'].every((file) => existsSync(join(path, file))),
  );
  if (!folder) return undefined;
  return {
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(delimiter),
  };
}
