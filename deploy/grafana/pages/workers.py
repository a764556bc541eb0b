"""The processes themselves."""

from deploy.grafana.panels import Page, Panel
from deploy.grafana.shared import CIRCUITS, FIGURES_AGE, LOOPS, PAUSED

PAGE = Page(
    uid="coursepay-workers",
    title="coursepay workers and resources",
    description="Whether the processes live, what they own and what they use.",
    rows=[
        (
            "Consumers",
            [
                PAUSED,
                Panel(
                    title="Partitions owned",
                    question="Has every partition an owner? The sum is the number of partitions, tiers included.",
                    unit="short",
                    queries=[("sum by (worker) (coursepay_assigned_partitions)", "{{worker}}")],
                ),
                Panel(
                    title="Since the last poll",
                    question="Does every consumer poll? Below a second is normal.",
                    unit="s",
                    queries=[
                        ("time() - min by (worker) (coursepay_poll_loop_last_poll_timestamp_seconds > 0)", "{{worker}}")
                    ],
                    limit=30,
                    alert="CoursepayPollLoopStuck",
                ),
                Panel(
                    title="Processes that answer",
                    question="How many processes of each service does Prometheus reach?",
                    unit="short",
                    queries=[("sum by (job) (up)", "{{job}}")],
                    alert="CoursepayServiceAbsent",
                ),
            ],
        ),
        (
            "Connections",
            [
                Panel(
                    title="Connections to PostgreSQL",
                    question="Is a pool exhausted? No idle one means that work waits for a connection.",
                    unit="short",
                    queries=[("sum by (job, state) (coursepay_db_pool_connections)", "{{job}} {{state}}")],
                ),
                CIRCUITS,
            ],
        ),
        (
            "Processes",
            [
                Panel(
                    title="CPU",
                    question="Which service works how hard? 1 is a whole core; a process cannot use more.",
                    unit="short",
                    queries=[("sum by (job) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{job}}")],
                ),
                Panel(
                    title="Memory",
                    question="Does a process grow?",
                    unit="bytes",
                    queries=[("max by (job) (process_resident_memory_bytes)", "{{job}}")],
                ),
                Panel(
                    title="Open files",
                    question="Do connections or files leak?",
                    unit="short",
                    queries=[("max by (job) (process_open_fds)", "{{job}}")],
                ),
            ],
        ),
        (
            "What operations looks at",
            [
                Panel(
                    title="One look at the cluster",
                    question="How long does it take?",
                    unit="s",
                    queries=[("max(coursepay_sampler_duration_seconds)", "last")],
                ),
                Panel(
                    title="Looks that failed",
                    question="Does operations reach Kafka and PostgreSQL?",
                    unit="ops",
                    queries=[("sum(rate(coursepay_sampler_errors_total[$__rate_interval]))", "failed")],
                ),
                FIGURES_AGE,
                LOOPS,
            ],
        ),
    ],
)
