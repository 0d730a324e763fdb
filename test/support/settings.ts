/** Numbers of the long tests that an environment variable may change, with what CI runs. */
export function numberFromEnvironment(name: string, fallback: number): number {
  const value = process.env[name];
  if (value === undefined || value === '') return fallback;
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) throw new Error(`${name}=${value}: not a number`);
  return number;
}
