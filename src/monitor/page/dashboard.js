// The page: figures by server-sent events, the past by the history. What comes from the server goes into the document
// as text only.
'use strict';

const api = 'api/v1/database/';
const live_points = 300; // of the live charts
const at = id => document.getElementById(id);
const number = new Intl.NumberFormat('en');

// ---------------------------------------------------------------- how figures are written

const count = n => number.format(n);
const percent = share => share == null ? '–' : `${(100 * share).toFixed(share > 0.999 && share < 1 ? 3 : 1)} %`;

function duration(seconds) {
    if (seconds == null) return '–';
    if (seconds === 0) return '0';
    const [value, unit] = seconds < 1e-3 ? [seconds * 1e6, 'µs'] : seconds < 1 ? [seconds * 1e3, 'ms'] : [seconds, 's'];
    return `${value.toPrecision(3).includes('e') ? Math.round(value) : Number(value.toPrecision(3))} ${unit}`;
}

function per_second(rate) {
    return rate == null ? '–' : `${rate > 0 && rate < 10 ? rate.toFixed(1) : count(Math.round(rate))} /s`;
}

const clock = time => new Date(1000 * time).toLocaleTimeString([], {timeStyle: 'medium', hourCycle: 'h23'});
const clock_minutes = time => new Date(1000 * time).toLocaleTimeString([], {timeStyle: 'short', hourCycle: 'h23'});

// What is shown, and beside it the figure as it came.
function show(id, value, written = count) {
    const element = at(id);
    element.textContent = value == null ? '–' : written(value);
    element.dataset.value = value ?? '';
}

// ---------------------------------------------------------------- asking

class Refused extends Error {}

async function ask(path) {
    const token = sessionStorage.getItem('token');
    const reply = await fetch(path, {headers: token ? {Authorization: `Bearer ${token}`} : {}, cache: 'no-store'});
    if (reply.status === 401) throw new Refused('the token is wanted');
    if (!reply.ok) throw new Error(`${path} answered ${reply.status}`);
    return reply;
}

// Server-sent events read by hand: EventSource cannot send a token.
async function read_events(told) {
    const reader = (await ask(api + 'events')).body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
        const {value, done} = await reader.read();
        if (done) return;
        const events = (rest + value).split('\n\n');
        rest = events.pop();
        for (const event of events) {
            const data = event.split('\n').find(line => line.startsWith('data: '));
            if (data) told(JSON.parse(data.slice(6)));
        }
    }
}

function wait_for_token() {
    return new Promise(given => {
        at('sign-in').hidden = false;
        at('sign-in').onsubmit = event => {
            event.preventDefault();
            sessionStorage.setItem('token', at('token').value);
            at('sign-in').hidden = true;
            given();
        };
    });
}

async function follow() {
    for (;;) {
        try {
            await read_events(figures => {
                at('line').textContent = `live, ${clock(figures.time)}`;
                document.body.classList.remove('stale');
                take(figures);
            });
            throw new Error('the monitor ended the stream');
        } catch (why) {
            document.body.classList.add('stale');
            if (why instanceof Refused) {
                at('line').textContent = why.message;
                await wait_for_token();
                continue;
            }
            at('line').textContent = `no connection to the monitor (${why.message}), trying again`;
            await new Promise(over => setTimeout(over, 2000));
        }
    }
}

// ---------------------------------------------------------------- charts

const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function line(label, name, more = {}) {
    return {label, data: [], pointRadius: 0, borderWidth: 2, spanGaps: false, colored: name, ...more};
}

function time_chart(id, datasets, written) {
    return new Chart(at(id), {
        type: 'line',
        data: {datasets},
        options: {
            parsing: false, normalized: true, animation: false, maintainAspectRatio: false,
            interaction: {mode: 'nearest', axis: 'x', intersect: false},
            scales: {
                x: {type: 'linear', bounds: 'data', ticks: {count: innerWidth < 600 ? 3 : 5, maxRotation: 0, callback: time => (range === 0 ? clock : clock_minutes)(time)}},
                y: {beginAtZero: true, ticks: {maxTicksLimit: 6, callback: value => written(value)}},
            },
            plugins: {
                legend: {position: 'bottom', labels: {boxWidth: 12, boxHeight: 2}},
                tooltip: {callbacks: {
                    title: items => items.length ? clock(items[0].parsed.x) : '',
                    label: item => `${item.dataset.label}: ${written(item.parsed.y)}`,
                }},
            },
        },
    });
}

let charts;
let range = 0; // seconds that they show; 0: live

function make_charts() {
    charts = {
        pool: time_chart('pool-chart',
            [line('in use', 'first', {fill: true}), line('waiting', 'second'), line('capacity', 'quiet', {borderDash: [4, 4], borderWidth: 1})],
            value => number.format(Number(value.toFixed(1)))),
        time: time_chart('time-chart', [line('average', 'first'), line('p95', 'second')], duration),
        rate: time_chart('rate-chart', [line('statements', 'first', {fill: true}), line('errors', 'bad')], per_second),
        latency: new Chart(at('latency-chart'), {
            type: 'bar',
            data: {labels: [], datasets: [{label: 'statements', data: [], colored: 'first', categoryPercentage: 1, barPercentage: 0.95}]},
            options: {
                animation: false, maintainAspectRatio: false,
                scales: {x: {ticks: {maxRotation: 60, autoSkip: true}}, y: {beginAtZero: true, ticks: {maxTicksLimit: 6, precision: 0}}},
                plugins: {legend: {display: false}},
            },
        }),
        gauge: new Chart(at('hit-gauge'), {
            type: 'doughnut',
            data: {datasets: [{data: [0, 1], borderWidth: 0}]},
            options: {
                animation: false, maintainAspectRatio: false, rotation: -90, circumference: 180, cutout: '70%',
                plugins: {legend: {display: false}, tooltip: {enabled: false}}, events: [],
            },
        }),
    };
    paint();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
}

// The colors of light and dark, which a canvas does not take from the style sheet by itself.
function paint() {
    Chart.defaults.color = color('quiet');
    for (const chart of Object.values(charts)) {
        for (const axis of Object.values(chart.options.scales ?? {})) {
            axis.grid = {color: color('line')};
            axis.ticks.color = color('quiet');
        }
        if (chart.options.plugins.legend.labels) chart.options.plugins.legend.labels.color = color('quiet');
        for (const set of chart.data.datasets) {
            if (!set.colored) continue;
            set.borderColor = color(set.colored);
            set.backgroundColor = chart.config.type === 'bar' ? set.borderColor : `${set.borderColor}22`;
        }
        chart.update();
    }
    charts.gauge.data.datasets[0].backgroundColor = [color('good'), color('line')];
    charts.gauge.update();
}

function plot(chart, points, ...of) {
    of.forEach((figure, i) => { chart.data.datasets[i].data = points.map(p => ({x: p.time, y: figure(p) ?? NaN})); });
    chart.update();
}

function plot_all(points) {
    plot(charts.pool, points, p => p.in_use, p => p.waiting, p => p.capacity);
    plot(charts.time, points, p => p.avg, p => p.p95);
    plot(charts.rate, points, p => p.rate, p => p.errors);
}

// ---------------------------------------------------------------- now, and the last day

let last = null;
const live = [];

// Connections in use: at this moment, or on average over the time since the last one by how long leases were held
// that ended in it, if that is more. The one does not see short leases, the other not those that are still out.
const used = (at_this_moment, on_average, capacity) => Math.min(capacity ?? Infinity, Math.max(at_this_moment, on_average));

// What happened between two events.
function point_of(before, now) {
    const seconds = now.time - before.time;
    const statements = now.queries.count - before.queries.count;
    const timed = now.queries.duration.count - before.queries.duration.count;
    const spent = now.queries.duration.sum - before.queries.duration.sum;
    const pools = now.connections.total;
    const held = figures => figures.connections.pools.reduce((sum, p) => sum + p.use_time.sum, 0);
    return {
        time: now.time, in_use: used(pools.in_use, (held(now) - held(before)) / seconds, pools.capacity), waiting: pools.waiting, capacity: pools.capacity,
        rate: statements / seconds, errors: (now.queries.errors - before.queries.errors) / seconds,
        avg: timed > 0 ? spent / timed : null, p95: p95_of(before.latency, now.latency, timed),
    };
}

// By the histogram: on a line within its bucket.
function p95_of(before, now, all) {
    let left = 0.95 * all;
    if (!(left > 0)) return null;
    let lower = 0;
    for (let i = 0; i < now.length; ++i) {
        const here = now[i].count - before[i].count;
        const upper = now[i].up_to ?? lower;
        if (left <= here) return lower + (upper - lower) * left / here;
        left -= here;
        lower = upper;
    }
    return lower;
}

function take(figures) {
    if (last && figures.time > last.time && figures.uptime > last.uptime) {
        live.push(point_of(last, figures));
        if (live.length > live_points) live.shift();
    }
    last = figures;
    show_figures(figures);
    if (range === 0) plot_all(live);
}

const past = s => ({
    time: s.time, in_use: used(s.connections_in_use, s.length > 0 ? (s.acquires * s.connection_use_avg) / s.length : 0), waiting: s.connections_waiting,
    capacity: s.utilization > 0 ? s.connections_in_use / s.utilization : null,
    rate: s.query_rate, errors: s.length > 0 ? s.errors / s.length : null, avg: s.avg, p95: s.p95,
});

async function show_past() {
    if (range === 0) return;
    const wanted = range;
    const to = last?.time ?? Date.now() / 1000;
    const step = wanted / 360;
    try {
        const reply = await ask(`${api}metrics/history?from=${to - wanted}&to=${to}&step=${step >= 60 ? step : 0}`);
        const {samples} = await reply.json();
        if (range === wanted) plot_all(samples.map(past));
    } catch (why) {
        at('line').textContent = `the history cannot be had (${why.message})`;
    }
}

function choose_range(button) {
    range = Number(button.dataset.range);
    for (const each of document.querySelectorAll('nav button')) each.setAttribute('aria-pressed', each === button);
    if (range === 0) plot_all(live); else show_past();
}

// ---------------------------------------------------------------- tables

// Two lines of it, until it is clicked; and it stays open when the next event fills the table anew.
const opened = new Set();
function long_text(text) {
    const span = Object.assign(document.createElement('span'), {textContent: text, title: 'click for all of it'});
    span.classList.toggle('whole', opened.has(text));
    span.onclick = () => {
        if (!opened.delete(text)) opened.add(text);
        span.classList.toggle('whole', opened.has(text));
    };
    return span;
}

// columns: [title, figure, how it is written, class]
function fill_table(id, rows, columns, none) {
    const table = at(id);
    table.replaceChildren();
    if (!rows.length) {
        table.insertRow().append(Object.assign(document.createElement('td'), {className: 'none', textContent: none}));
        return;
    }
    const head = table.createTHead().insertRow();
    for (const [title] of columns) head.append(Object.assign(document.createElement('th'), {textContent: title, scope: 'col'}));
    const body = table.createTBody();
    for (const row of rows) {
        const line = body.insertRow();
        for (const [, figure, written, name] of columns) {
            const cell = line.insertCell();
            cell.dataset.value = figure(row) ?? '';
            if (name === 'text') cell.append(long_text(written(figure(row))));
            else cell.textContent = written(figure(row));
            if (name) cell.className = name;
        }
    }
}

const as_text = value => value;
const percentiles = [
    ['Count', q => q.count, count], ['Errors', q => q.error_rate, percent], ['Average', q => q.duration.avg, duration],
    ['p50', q => q.duration.p50, duration], ['p95', q => q.duration.p95, duration], ['p99', q => q.duration.p99, duration],
    ['Max', q => q.duration.max, duration],
];

function show_tables(f) {
    fill_table('operations', f.operations, [['Operation', q => q.name || '(without a name)', as_text], ...percentiles],
        'No statement has run yet.');
    fill_table('statements', f.slowest_statements, [['Statement', q => q.text || q.name, as_text, 'text'], ...percentiles],
        'No statement has run yet.');
    const server = f.connections.server;
    at('server-time').textContent = server ? `as of ${clock(server.time)}` : 'The server is not looked at: give the monitor a sampler that inspects.';
    fill_table('blocked', server?.blocked ?? [], [
        ['Process', b => b.pid, String], ['Blocked by', b => b.blocked_by.join(', '), as_text],
        ['Lock', b => b.lock, as_text], ['For', b => b.seconds, duration]], 'Nobody waits for a lock.');
}

function show_clusters(f) {
    at('cluster').hidden = !f.clusters.length;
    at('routing').textContent = f.clusters.map(c => `${c.name}: reads by ${c.policy.replaceAll('_', ' ')} · `
        + `${count(c.failovers)} failovers · ${count(c.promotions)} promotions · ${count(c.waited_for_primary)} waited for a primary · `
        + `${count(c.token_waits)} reads waited for a replica, ${count(c.caught_up)} of them in time · `
        + `${count(c.stale_avoided)} reads went to the primary instead`).join(' — ');
    const hosts = f.clusters.flatMap(c => c.hosts.map(h => ({...h, cluster: c.name})));
    fill_table('hosts', hosts, [
        ['Host', h => h.name, as_text], ['Cluster', h => h.cluster, as_text], ['Role', h => h.role, as_text],
        ['Lag', h => h.lag, duration], ['Reads', h => h.reads, count], ['Writes', h => h.writes, count],
        ['In use', h => h.in_use, count], ['Waiting', h => h.waiting, count],
        ['Failed checks', h => h.failed_checks, count], ['Last failure', h => h.last_failure, as_text, 'text'],
        ['Not used because', h => h.unusable, as_text, 'text']], '');
}

function show_alerts(f) {
    at('alerts').replaceChildren(...f.alerts.active.map(a => {
        const box = Object.assign(document.createElement('div'), {className: `alert ${a.severity}`});
        const text = Object.assign(document.createElement('span'));
        text.textContent = ` ${a.name}: ${Number(a.value.toPrecision(3))}, threshold ${a.threshold}, since ${clock(a.since)}`
            + (a.count > 1 ? `, found ${count(a.count)} times` : '') + `. ${a.meaning}`;
        box.append(Object.assign(document.createElement('strong'), {textContent: a.severity.toUpperCase()}), text);
        box.dataset.name = a.name;
        return box;
    }));
    const findings = f.health.findings.map(found => {
        const item = Object.assign(document.createElement('li'), {className: found.severity});
        item.append(Object.assign(document.createElement('strong'), {textContent: found.what}),
            Object.assign(document.createElement('span'), {textContent: ` – ${found.evidence} → ${found.recommendation}`}));
        return item;
    });
    at('findings').replaceChildren(...findings);
    if (!findings.length) at('findings').append(Object.assign(document.createElement('li'), {textContent: 'Nothing to complain about.'}));
}

// ---------------------------------------------------------------- tiles

function show_tiles(f) {
    const q = f.queries;
    show('rate', live.length ? live[live.length - 1].rate : null, per_second);
    show('total-operations', q.count);
    show('error-count', q.errors);
    show('error-rate', q.error_rate, percent);
    for (const p of ['p50', 'p95', 'p99']) show(p, q.duration[p], duration);
    const pools = f.connections.total;
    show('in-use', pools.in_use);
    for (const name of ['capacity', 'idle', 'overflow', 'waiting']) show(name, pools[name]);

    const t = f.transactions;
    show('success-rate', t.success_rate, percent);
    show('committed', t.total.committed);
    show('ended', t.total.committed + t.total.rolled_back + t.total.unknown);
    show('active', t.total.active);
    show('retries', t.total.retries);
    show('deadlocks', t.deadlocks);
    show('serialization', t.serialization_failures);
    at('success-meter').setAttribute('aria-valuenow', t.success_rate ?? 0);
    at('success-meter').firstElementChild.style.width = `${100 * (t.success_rate ?? 0)}%`;

    show('hit-ratio', f.cache.enabled ? f.cache.hit_ratio : null, percent);
    show('hits', f.cache.hits);
    show('misses', f.cache.misses);
    const ratio = f.cache.hit_ratio ?? 0;
    charts.gauge.data.datasets[0].data = [ratio, 1 - ratio];
    charts.gauge.update();

    at('breaker').textContent = f.breaker.state.replace('_', ' ');
    at('budgets').textContent = f.transactions.budgets.map(b => `${b.name}: ${Math.floor(b.available)} of ${b.capacity} retries left`).join(' · ');
}

function show_figures(f) {
    document.body.dataset.time = f.time;
    at('status').textContent = f.health.status;
    at('status').className = `pill ${f.health.status}`;
    at('score').textContent = `score ${f.health.score}`;
    show_tiles(f);
    show_tables(f);
    show_clusters(f);
    show_alerts(f);
    charts.latency.data.labels = f.latency.map((b, i) => b.up_to == null ? `> ${duration(f.latency[i - 1].up_to)}` : duration(b.up_to));
    charts.latency.data.datasets[0].data = f.latency.map(b => b.count);
    charts.latency.update();
}

make_charts();
for (const button of document.querySelectorAll('nav button')) button.onclick = () => choose_range(button);
setInterval(show_past, 30_000);
follow();
