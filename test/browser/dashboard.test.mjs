// The page in a real browser, on a monitor under load: does it show what the API says, and all of it?
//   node dashboard.test.mjs <served> <folder with node_modules> <folder for screenshots> <chromium>
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import {createRequire} from 'node:module';
import {createInterface} from 'node:readline';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';

const [served, modules, screenshots, executablePath] = process.argv.slice(2);
const {chromium} = createRequire(resolve(modules, 'package.json'))('playwright-core');
const {Validator} = await import(pathToFileURL(join(resolve(modules), 'node_modules/@seriousme/openapi-schema-validator/index.js')));
const token = 'correct horse battery staple';
const patience = 30_000; // for machines that are busy; what is waited for comes in a fraction of it
mkdirSync(screenshots, {recursive: true});

// ---------------------------------------------------------------- the monitor

const monitor = spawn(served, [token], {stdio: ['pipe', 'pipe', 'inherit']});
const lines = createInterface({input: monitor.stdout})[Symbol.asyncIterator]();
const next_line = async () => {
    const {value, done} = await lines.next();
    if (done) throw new Error(`${served} ended`);
    return value;
};
const url = await next_line();
async function tell(word) {
    monitor.stdin.write(`${word}\n`);
    assert.equal(await next_line(), 'done');
}
async function api(path) {
    const reply = await fetch(url + path, {headers: {Authorization: `Bearer ${token}`}});
    assert.equal(reply.status, 200, path);
    return reply.json();
}

// ---------------------------------------------------------------- the browser

const browser = await chromium.launch({executablePath, args: ['--no-sandbox']});
const context = await browser.newContext({viewport: {width: 1280, height: 900}, colorScheme: 'light'});
const page = await context.newPage();
page.setDefaultTimeout(patience);
const errors = [];
page.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
page.on('pageerror', error => errors.push(String(error)));
const foreign = [];
page.on('request', request => { if (!request.url().startsWith(url) && !request.url().startsWith('data:')) foreign.push(request.url()); });

const value_of = id => page.$eval(`#${id}`, element => Number(element.dataset.value));
const grown = (id, by, from) => page.waitForFunction(
    ([i, least]) => Number(document.getElementById(i).dataset.value) >= least, [id, from + by]);
const screenshot = name => page.screenshot({path: join(screenshots, `${name}.png`), fullPage: true});

const tests = [];
const test = (name, body) => tests.push({name, body});

test('describes the API in valid OpenAPI', async () => {
    const {valid, errors: wrong} = await new Validator().validate(await api('/openapi.json'));
    assert.ok(valid, JSON.stringify(wrong));
});

test('asks for the token, and shows figures once it has it', async () => {
    await page.goto(url);
    await page.waitForSelector('#sign-in:not([hidden])');
    for (let tries = 0; errors.length === 0 && tries < 100; ++tries) await page.waitForTimeout(20);
    assert.equal(errors.length, 1, errors.join('\n'));
    assert.match(errors.pop(), /401/); // how the browser tells that it was refused
    await page.fill('#token', token);
    await page.click('#sign-in button');
    await page.waitForFunction(() => Number(document.getElementById('total-operations').dataset.value) > 0);
});

test('shows the very figures of the API while they grow', async () => {
    let compared = 0;
    let least = 0;
    for (let tries = 0; compared < 4; ++tries) {
        assert.ok(tries < 1000, `only ${compared} figures of one moment in ${tries} tries`);
        await page.waitForTimeout(20); // new ones come each interval only
        const told = await api('/api/v1/database/dashboard');
        const shown = await page.evaluate(() => ({
            time: Number(document.body.dataset.time),
            figures: Object.fromEntries([...document.querySelectorAll('[id][data-value]')].map(e => [e.id, [e.dataset.value, e.textContent]])),
            operations: [...document.querySelectorAll('#operations tbody tr')].map(row => [...row.cells].map(cell => cell.dataset.value)),
            latency: Chart.getChart('latency-chart').data.datasets[0].data,
        }));
        if (shown.time !== told.time || told.queries.count === least) continue; // of another moment
        assert.ok(told.queries.count > least);
        least = told.queries.count;
        ++compared;
        const pools = told.connections.total;
        const transactions = told.transactions;
        const expected = {
            'total-operations': told.queries.count, 'error-count': told.queries.errors, 'error-rate': told.queries.error_rate,
            p50: told.queries.duration.p50, p95: told.queries.duration.p95, p99: told.queries.duration.p99,
            'in-use': pools.in_use, idle: pools.idle, overflow: pools.overflow, waiting: pools.waiting, capacity: pools.capacity,
            'success-rate': transactions.success_rate, committed: transactions.total.committed,
            retries: transactions.total.retries, deadlocks: transactions.deadlocks,
            'hit-ratio': told.cache.hit_ratio, hits: told.cache.hits, misses: told.cache.misses,
        };
        for (const [id, value] of Object.entries(expected)) assert.equal(shown.figures[id][0], String(value ?? ''), id);
        for (const id of ['total-operations', 'committed', 'hits', 'capacity'])
            assert.equal(shown.figures[id][1], expected[id].toLocaleString('en'), id);
        assert.deepEqual(shown.latency, told.latency.map(bucket => bucket.count));
        assert.deepEqual(shown.operations, told.operations.map(o => [o.name || '(without a name)', o.count, o.error_rate,
            o.duration.avg, o.duration.p50, o.duration.p95, o.duration.p99, o.duration.max].map(String)));
        assert.ok(shown.operations.some(o => o[0] === 'look at item'));
    }
    const before = (await api('/api/metrics/database')).total_operations;
    await grown('total-operations', 1, before);
    const shown = await value_of('total-operations');
    const after = (await api('/api/metrics/database')).total_operations;
    assert.ok(before <= shown && shown <= after, `${before} <= ${shown} <= ${after}`);
});

test('shows an alert while it is raised, and not when it is cleared', async () => {
    await tell('sample');
    await tell('fail');
    await grown('error-count', 20, await value_of('error-count'));
    await tell('sample');
    await page.waitForSelector('.alert.critical[data-name=error_rate]');
    assert.match(await page.textContent('.alert[data-name=error_rate]'), /^CRITICAL error_rate: 0\.\d+, threshold 0\.1/);
    await page.waitForSelector('#findings .critical');
    await screenshot('alert');
    await tell('heal');
    await tell('sample');
    await grown('total-operations', 50, await value_of('total-operations'));
    await tell('sample');
    await page.waitForSelector('.alert[data-name=error_rate]', {state: 'detached'});
});

test('shows who is blocked by whom', async () => {
    await tell('block');
    let blocked = [];
    for (let tries = 0; blocked.length === 0 && tries < 100; ++tries) {
        await tell('sample');
        blocked = (await api('/api/v1/database/connections/status')).server.blocked;
    }
    const pid = String(blocked[0].pid);
    await page.waitForFunction(p => document.querySelector('#blocked tbody')?.rows[0].cells[0].textContent === p, pid);
    const cells = await page.$$eval('#blocked tbody td', all => all.map(cell => cell.textContent));
    assert.deepEqual(cells.slice(0, 3), [pid, blocked[0].blocked_by.join(', '), 'advisory']);
    await tell('unblock');
});

test('shows the hosts of a cluster, what they are, and who reads where', async () => {
    await page.waitForFunction(() => {
        const [primary, replica] = document.querySelector('#hosts tbody')?.rows ?? [];
        return replica && primary.cells[2].textContent === 'primary' && replica.cells[2].textContent === 'replica'
            && Number(replica.cells[4].dataset.value) > 0;
    });
    const shown = await page.$$eval('#hosts tbody tr', rows => rows.map(row => [...row.cells].map(cell => cell.textContent)));
    const [{name, hosts}] = (await api('/api/v1/database/dashboard')).clusters;
    assert.deepEqual(shown.map(cells => cells.slice(0, 3)), hosts.map(h => [h.name, name, h.role]));
    assert.match(await page.textContent('#routing'), /^catalogue: reads by /);
});

test('looks a day back, and live again', async () => {
    const points = () => page.evaluate(() => Chart.getChart('pool-chart').data.datasets[0].data.length);
    await page.click('nav button[data-range="86400"]');
    await page.waitForFunction(() => {
        const data = Chart.getChart('pool-chart').data.datasets[0].data;
        return data.length > 200 && data.at(-1).x - data[0].x > 23 * 3600;
    });
    await screenshot('desktop-light-day');
    await page.click('nav button[data-range="0"]');
    await page.waitForFunction(() => Chart.getChart('rate-chart').data.datasets[0].data.at(-1).y > 0);
    assert.ok(await points() < 300);
});

test('is readable on desktop and phone, light and dark', async () => {
    for (const [device, viewport] of [['desktop', {width: 1280, height: 900}], ['phone', {width: 390, height: 844}]]) {
        await page.setViewportSize(viewport);
        for (const colorScheme of ['light', 'dark']) {
            await page.emulateMedia({colorScheme});
            // Charts follow the window a little later.
            await page.waitForFunction(() => document.documentElement.scrollWidth <= innerWidth);
            const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
            assert.equal(ground, colorScheme === 'light' ? 'rgb(244, 245, 247)' : 'rgb(17, 21, 28)');
            await screenshot(`${device}-${colorScheme}`);
        }
    }
});

test('had no error, and asked no other host', async () => {
    assert.deepEqual(errors, []);
    assert.deepEqual(foreign, []);
});

test('says so when the monitor is gone', async () => {
    monitor.stdin.end();
    await page.waitForSelector('body.stale');
    assert.match(await page.textContent('#line'), /no connection to the monitor/);
});

let failed = 0;
for (const {name, body} of tests) {
    try {
        await body();
        console.log(`ok: ${name}`);
    } catch (why) {
        ++failed;
        console.log(`FAILED: ${name}\n${why.stack}`);
        await screenshot(`failed-${failed}`).catch(() => {});
    }
}
await browser.close();
monitor.kill();
process.exit(failed ? 1 : 0);
