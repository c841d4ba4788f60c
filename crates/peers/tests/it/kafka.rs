use peers::Kafka;

#[test]
fn a_record_goes_in_and_comes_out() {
    let Some(broker) = Kafka::start() else { return };
    broker.create_topic("events", 2).unwrap();
    broker.produce("events", "evt_1", "hi").unwrap();
    let [record] = &broker.records("events").unwrap()[..] else { panic!("one record") };
    assert_eq!((record.key.as_deref(), &record.value[..]), (Some(&b"evt_1"[..]), &b"hi"[..]));
    assert_eq!(record.headers, [("client".to_owned(), b"kafka-python".to_vec())]);
}
