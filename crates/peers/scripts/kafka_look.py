"""What a client that is not ours finds in a broker, and puts there.

Usage: kafka_look.py ADDRESS create TOPIC PARTITIONS | produce TOPIC KEY VALUE | records TOPIC
Records are printed as one JSON object a line, bytes as lists of numbers.
"""

import json
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

ADDRESS, WHAT, *ARGUMENTS = sys.argv[1:]


def create(topic, partitions):
    admin = KafkaAdminClient(bootstrap_servers=ADDRESS)
    admin.create_topics([NewTopic(name=topic, num_partitions=int(partitions), replication_factor=1)])


def produce(topic, key, value):
    producer = KafkaProducer(bootstrap_servers=ADDRESS, acks="all", enable_idempotence=False)
    producer.send(topic, key=key.encode(), value=value.encode(), headers=[("client", b"kafka-python")]).get(timeout=60)


def records(topic):
    consumer = KafkaConsumer(bootstrap_servers=ADDRESS, enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or [])]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    consumer.seek_to_beginning()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for found in consumer.poll(timeout_ms=200).values():
            for record in found:
                print(
                    json.dumps(
                        {
                            "partition": record.partition,
                            "key": list(record.key) if record.key is not None else None,
                            "value": list(record.value or b""),
                            "headers": [(name, list(value or b"")) for name, value in record.headers],
                        }
                    )
                )


{"create": create, "produce": produce, "records": records}[WHAT](*ARGUMENTS)
