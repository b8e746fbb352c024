"""What was measured: the lines of report.tsv, tables for people, and which targets are met."""

import statistics

lines = []
verdicts = []


def note(benchmark, subject, metric, values, floor=None):
    """One line of the report; `floor` is the floor's median. Returns the median."""
    middle = statistics.median(values)
    ratio = f'{middle / floor:.3f}' if floor else ''
    lines.append((benchmark, subject, metric, f'{middle:.6g}', ratio, f'{min(values):.6g}', f'{max(values):.6g}'))
    return middle


def check(what, value, target, at_least=False, digits=3):
    """Says whether a target is met: at most `target`, or at least."""
    met = value >= target if at_least else value <= target
    said = f'{what}: {value:.{digits}f}, target {"≥" if at_least else "≤"} {target:.{digits}f}: {"met" if met else "missed"}'
    verdicts.append((met, said))
    print(f'  {said}')


def table(benchmark, title, cost, speed):
    """CPU time and throughput of each subject in each round, and their ratios to the floor, if there is one."""
    floor_cost, floor_speed = (statistics.median(of['floor']) if 'floor' in of else None for of in (cost, speed))
    print(f'\n{title}')
    print(f'  {"":20}{"CPU time per operation, µs":>30}{"ratio to the floor":>26}{"operations per second":>30}')
    print(f'  {"":20}{"median":>10}{"min":>10}{"max":>10}{"":>4}{"":8}{"in single rounds":14}{"median":>14}{"min":>8}{"max":>8}')
    for name in cost:
        middle = note(benchmark, name, 'cpu_us_per_op', cost[name], floor_cost)
        rate = note(benchmark, name, 'ops_per_second', speed[name], floor_speed)
        ratio = ratios(middle, cost[name], floor_cost, cost['floor']) if floor_cost else ''
        print(f'  {name:20}{middle:10.3f}{min(cost[name]):10.3f}{max(cost[name]):10.3f}    {ratio:24}'
              f'{rate:12.0f}{min(speed[name]):8.0f}{max(speed[name]):8.0f}')


def ratios(middle, costs, floor_middle, floor_costs):
    singles = [ours / floor for ours, floor in zip(costs, floor_costs)]
    return f'{middle / floor_middle:.3f}  ({min(singles):.3f} … {max(singles):.3f})'


def summary():
    if verdicts:
        print('\nTargets')
    for met, said in verdicts:
        print(f'  {"     " if met else "MISS "}{said}')


def write(path):
    with open(path, 'w') as file:
        file.write('benchmark\tsubject\tmetric\tvalue\tratio_to_floor\tmin\tmax\n')
        file.writelines('\t'.join(line) + '\n' for line in lines)
