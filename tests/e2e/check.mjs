// Checks that Chromium starts and shows a page. Exit code 1 with a message when it does not do so in time.
import { launch, within } from './support.mjs';

async function show() {
  const browser = await launch();
  const page = await browser.newPage();
  await page.setContent('<title>ready</title>');
  await page.title();
  await browser.close();
}

try {
  await within(30, show(), () => 'it shows no page');
  process.exit(0);
} catch (e) {
  console.error(`error: Chromium (${process.env.CHROMIUM}) does not work: ${e.message.split('\n')[0]}`);
  console.error('Install the package chromium, or name another one in the environment variable CHROMIUM.');
  process.exit(1);
}
