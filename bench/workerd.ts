/** The workerd binary of this repository: the same one that serves Quorate. */
import { createRequire } from 'node:module';

/** The package is CommonJS with a `default` export, which `import` would hand out as an object. */
const workerdPackage = createRequire(import.meta.url)('workerd') as { default: string };

export const workerdPath = workerdPackage.default;
