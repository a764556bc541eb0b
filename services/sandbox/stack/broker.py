"""How the broker behaves, as a process and in a container alike. A setting of Kafka's -> its value."""

from collections.abc import Mapping

BEHAVIOUR: Mapping[str, str] = {
    # A misspelt topic is an error, not a new topic.
    "auto.create.topics.enable": "false",
    "num.partitions": "6",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A broker that comes back is let in when its former session has ended, after 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # The first member of a group need not wait for others.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # With group.protocol=consumer the session timeout is the broker's: a killed worker's partitions move in time.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    # A tier's records are as large as a main topic's and carry headers.
    "message.max.bytes": "2097152",
    # Deleted topics of short runs give their space back soon.
    "log.segment.delete.delay.ms": "1000",
}
