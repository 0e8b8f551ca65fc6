"""The reference, brought to a place of a round that it played itself."""

from reference import protocol


def deliver(case, row, data):
    """Bring the reference to the message's place and hand in `data` instead."""
    sent, place = case.transcript.messages, row["instead_of"]
    steps = [step for step in protocol.STEPS if case.identities or step != "consistency"]
    if row["receiver"] == "server":
        server, arrived = protocol.Server(case.round, case.order), {}
        for up, party, message in [*sent[:place], (True, row["instead_of"], data)]:
            if not up:
                if arrived:
                    getattr(server, steps.pop(0))(arrived)
                arrived = {}
            else:
                chunked = case.kind(place if message is data else sent.index((up, party, message))) == "masked_input"
                sender = sent[place][1] if message is data else party
                arrived[sender] = [message] if chunked else message
        # The others' messages of this step follow as they are.
        for up, party, message in sent[place + 1 :]:
            if not up:
                break
            arrived[party] = [message] if row["kind"] == "masked_input" else message
        getattr(server, steps.pop(0))(arrived)
        return
    index = row["receiver"]
    party = protocol.Party(case.round, index, case.draws[index], case.vectors[index])
    received = [message for up, to, message in sent[:place] if not up and to == index]
    for message, step in zip(received[1:], steps[1:], strict=False):
        getattr(party, step)(message)
    if row["kind"] == "invite":
        party.invite(data)
    else:
        getattr(party, steps[len(received)])(data)
