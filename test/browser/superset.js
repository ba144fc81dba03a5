/*
 * superset.js: look at Superset's dashboard as somebody does who logs in.
 *
 *	node superset.js URL USER PASSWORD SLUG CHARTS FILE.png
 *
 * Waits until that many charts have got their data and drawn it, takes a picture
 * of the whole page and prints JSON: what each chart was answered, by its id,
 * what is written on the page, and the rows of its first table with their colour.
 * NODE_PATH says where playwright-core is; the browser is CHROMIUM, else
 * /usr/bin/chromium.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
const { chromium } = require('playwright-core');

const [url, user, password, slug, charts, file] = process.argv.slice(2);
const PATIENCE = 120000;

/* Nothing leaves this machine: Superset would count its users elsewhere. */
async function stayHere(page)
{
	const here = new URL(url).host;

	await page.route(request => request.host !== here, route => route.abort());
}

async function logIn(page)
{
	await page.goto(`${url}/login/`, { timeout: PATIENCE });
	await page.fill('#username', user, { timeout: PATIENCE });
	await page.fill('#password', password);
	await Promise.all([
		page.waitForURL(address => !address.pathname.startsWith('/login'),
			{ timeout: PATIENCE }),
		page.press('#password', 'Enter')]);
}

/* Answers to the charts' questions, by the chart's id. */
function collectAnswers(page)
{
	const answers = {};

	page.on('response', async response => {
		if (!response.url().includes('/api/v1/chart/data'))
			return;
		const question = response.request().postDataJSON();
		const text = await response.text();

		answers[question.form_data.slice_id] =
			{ status: response.status(), body: JSON.parse(text) };
	});
	return answers;
}

/* In the page: true if the pictures of all charts are as they were when this was
 * asked last; lines grow from the left at first. */
function drawn()
{
	const now = [...document.querySelectorAll('.dashboard-chart canvas')]
		.map(canvas => canvas.toDataURL()).join();
	const before = window.drawnBefore;

	window.drawnBefore = now;
	return now === before;
}

/* In the page: what the rows of the first chart with a table say, and their
 * colours.  Heads are tables of their own. */
function rowsOfFirstTable()
{
	const chart = [...document.querySelectorAll('.dashboard-chart')]
		.find(each => each.querySelector('table'));

	return [...chart.querySelectorAll('tbody tr')]
		.filter(row => row.offsetHeight > 0 && row.querySelector('td'))
		.map(row => ({
			text: row.innerText,
			color: getComputedStyle(row.querySelector('td')).backgroundColor
		}));
}

async function lookAt(page)
{
	const answers = collectAnswers(page);

	await page.goto(`${url}/superset/dashboard/${slug}/`, { timeout: PATIENCE });
	/* Charts below the fold load when they are scrolled to: hence the viewport,
	 * which is as high as the page. */
	await page.waitForFunction(
		wanted => document.querySelectorAll('.dashboard-chart .slice_container')
			.length >= wanted
			&& !document.querySelector('.dashboard-chart .loading'),
		Number(charts), { timeout: PATIENCE });
	await page.waitForFunction(
		() => [...document.querySelectorAll('.dashboard-chart')].every(chart =>
			chart.querySelector('canvas, table, .header-line')),
		null, { timeout: PATIENCE });
	await page.waitForFunction(drawn, null, { timeout: PATIENCE, polling: 500 });
	await page.screenshot({ path: file });
	return { answers, text: await page.innerText('body'),
		machines: await page.evaluate(rowsOfFirstTable) };
}

(async () => {
	const browser = await chromium.launch({
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic',
			'--no-first-run', '--disable-background-networking',
			'--disable-component-update', '--disable-sync']
	});

	try
	{
		const page = await browser.newPage(
			{ viewport: { width: 1280, height: 3000 } });

		await stayHere(page);
		await logIn(page);
		process.stdout.write(JSON.stringify(await lookAt(page)));
	}
	finally
	{
		await browser.close();
	}
})().catch(error => {
	process.stderr.write(`superset.js: ${error.stack}\n`);
	process.exit(1);
});
