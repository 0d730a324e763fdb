/** Where the service is. `npm run example:config` serves this file with the address that it uses. */
export const serviceUrl = 'http://127.0.0.1:2379';
