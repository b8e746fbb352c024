"""Line plots as SVG, on a background of their own, for bright and dark pages."""

import html
import math
import statistics

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 76, 36, 84, 64
# Colours that people tell apart whatever they see, and marks for those who see none.
COLOURS = ('#000000', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00')
MARKS = (
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{c}"/>',
    '<path d="M{x:.1f} {y:.1f}m-4.5 -4.5h9v9h-9z" fill="{c}"/>',
    '<path d="M{x:.1f} {y:.1f}m0 -5.5l5 9.5h-10z" fill="{c}"/>',
    '<path d="M{x:.1f} {y:.1f}m0 -6l6 6l-6 6l-6 -6z" fill="{c}"/>',
    '<path d="M{x:.1f} {y:.1f}m0 5.5l5 -9.5h-10z" fill="{c}"/>',
    '<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#fff" stroke="{c}" stroke-width="2"/>',
)


def in_bytes(number):
    for unit, name in ((1 << 20, 'MiB'), (1 << 10, 'KiB')):
        if number >= unit:
            return f'{number / unit:g} {name}'
    return f'{number:g} B'


def with_commas(number):
    return f'{number:,.0f}' if number >= 1000 else f'{number:g}'


def round_steps(top):
    """0 and up to six equal steps of 1, 2 or 5 that reach `top`."""
    step = 10 ** math.floor(math.log10(top / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor * 6 >= top)
    return [step * i for i in range(math.ceil(top / step) + 1)]


class Axis:
    """Values to a place between 0 and 1. Its ends are its first and last tick."""

    def __init__(self, ticks, log):
        self.ticks, self.log = ticks, log
        self.low, self.high = (math.log(ticks[0]), math.log(ticks[-1])) if log else (ticks[0], ticks[-1])

    def place(self, value):
        return ((math.log(value) if self.log else value) - self.low) / (self.high - self.low)


def axis_of_costs(low, high, log):
    if not log:
        return Axis(round_steps(high), False)
    ticks = [factor * 10.0 ** power for power in range(-3, 9) for factor in (1, 2, 5)]
    first = max(tick for tick in ticks if tick <= low)
    last = min(tick for tick in ticks if tick >= high)
    return Axis([tick for tick in ticks if first <= tick <= last], True)


class Plot:
    """`curves`: name → x → the values measured there. x_log: the base of a logarithmic axis, else it is linear."""

    def __init__(self, title, x_label, y_label, curves, x_log=None, y_log=False, x_is_bytes=False, whole=False):
        self.title, self.x_label, self.y_label, self.curves = title, x_label, y_label, curves
        xs = sorted({x for curve in curves.values() for x in curve})
        values = [value for curve in curves.values() for measured in curve.values() for value in measured]
        self.y = axis_of_costs(min(values), max(values), y_log)
        self.x = Axis([xs[0] - 0.5, *xs, xs[-1] + 0.5] if whole else xs, x_log is not None)
        self.labelled = xs if not x_log or x_log == 2 else [x for x in xs if not any(x < y < 1.6 * x for y in xs)]
        self.x_name = in_bytes if x_is_bytes else with_commas

    def at(self, x, y):
        return LEFT + self.x.place(x) * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - self.y.place(y) * (HEIGHT - TOP - BOTTOM)

    def frame(self):
        yield f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#fff" stroke="#ccc"/>'
        yield f'<text x="{LEFT}" y="28" font-size="17" font-weight="600">{html.escape(self.title)}</text>'
        for tick in self.y.ticks:
            _, y = self.at(self.x.ticks[0], tick)
            yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{with_commas(tick)}</text>'
        for tick in self.labelled:
            x, y = self.at(tick, self.y.ticks[0])
            yield f'<path d="M{x:.1f} {y:.1f}v5" stroke="#444"/>'
            yield f'<text x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle">{self.x_name(tick)}</text>'
        yield f'<path d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}" stroke="#444"/>'
        middle = (LEFT + WIDTH - RIGHT) / 2
        scale = ', logarithmic' if self.x.log else ''
        yield f'<text x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">{html.escape(self.x_label + scale)}</text>'
        middle = (TOP + HEIGHT - BOTTOM) / 2
        scale = ', logarithmic' if self.y.log else ''
        yield (f'<text transform="translate(20 {middle}) rotate(-90)" text-anchor="middle">'
               f'{html.escape(self.y_label + scale)}</text>')

    def curve(self, curve, colour, mark):
        middles = [(x, statistics.median(curve[x])) for x in sorted(curve)]
        points = ' '.join('{:.1f},{:.1f}'.format(*self.at(*point)) for point in middles)
        for x, values in curve.items():
            (place, low), (_, high) = self.at(x, min(values)), self.at(x, max(values))
            yield f'<path d="M{place:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="6" opacity="0.2"/>'
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for point in middles:
            x, y = self.at(*point)
            yield mark.format(x=x, y=y, c=colour)

    def legend(self, names):
        x = LEFT
        for name, colour, mark in names:
            yield f'<path d="M{x} 52h28" stroke="{colour}" stroke-width="2"/>' + mark.format(x=x + 14, y=52, c=colour)
            yield f'<text x="{x + 36}" y="56">{html.escape(name)}</text>'
            x += 52 + 7.5 * len(name)

    def svg(self):
        names = list(zip(self.curves, COLOURS, MARKS))
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
                 f'font-family="sans-serif" font-size="13" fill="#222" role="img" aria-label="{html.escape(self.title)}">',
                 *self.frame(), *self.legend(names)]
        for name, colour, mark in names:
            parts += self.curve(self.curves[name], colour, mark)
        return '\n'.join([*parts, '</svg>', ''])
