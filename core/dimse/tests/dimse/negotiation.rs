//! Who may have an association, and what is told to those who may not.

use std::collections::BTreeSet;

use clavicle_dimse::{Called, Calling, End, Rejection};

use crate::programs::{run, succeed, text};
use crate::receiver::{Receiver, Record, title};

fn echo(receiver: &Receiver, calling: &str, called: &str) -> String {
    text(&run("echoscu", ["-v", "-aet", calling, "-aec", called, "127.0.0.1", &receiver.port()]))
}

#[test]
fn who_is_called_by_another_name_does_not_answer() {
    let receiver = Receiver::start();
    assert!(echo(&receiver, "CT1", "SOMEBODY").contains("Called AE Title Not Recognized"));
    assert_eq!(receiver.record.ended(1)[0].end, End::Rejected(Rejection::Called));
    let receiver = Receiver::with(Record::default(), |settings| settings.called = Called::Any);
    assert!(echo(&receiver, "CT1", "SOMEBODY").contains("Received Echo Response (Success)"));
}

#[test]
fn who_is_not_on_the_list_is_not_let_in() {
    let list = Calling::These(BTreeSet::from([title("CT1"), title("CT 2")]));
    let receiver = Receiver::with(Record::default(), |settings| settings.calling = list);
    for calling in ["CT1", "CT 2", " CT1 "] {
        succeed("echoscu", ["-aet", calling, "-aec", "CLAVICLE", "127.0.0.1", &receiver.port()]);
    }
    assert!(echo(&receiver, "CT3", "CLAVICLE").contains("Calling AE Title Not Recognized"));
    assert_eq!(receiver.record.ended(4)[3].end, End::Rejected(Rejection::Calling));
}
