/* Deleting and undoing it: the notice that something was deleted, and the list of what can be had back. */
$(function () {
    // Who has not pressed the notice's button by then finds it in the list.
    const NOTICE_MS = 20000;

    function FacesculptDeletedViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const notices = new Map();

        const says = {
            photos: gettext("Photo “%(name)s”"),
            sculptures: gettext("Sculpture “%(name)s”"),
            queue: gettext("“%(name)s” in the print queue")
        };
        const mayDelete = (kind) => (kind === "queue" ? shared.mayPrint() : shared.mayCreate());

        const list = shared.keyedList(
            (data) => new Deleted(data),
            (a, b) => a.place - b.place
        );
        self.deleted = list.entries;

        function Deleted(data) {
            const deleted = this;
            deleted.name = ko.pureComputed(() => _.sprintf(says[data().kind] || "%(name)s", {name: data().name}));
            deleted.data = data;
            deleted.mayUndo = ko.pureComputed(() => mayDelete(data().kind));
            deleted.undoLabel = ko.pureComputed(() => _.sprintf(gettext("Undo the deletion: %(name)s"), {name: deleted.name()}));
        }

        /** Deletes a thing of a kind (photos, sculptures, queue); asks only when it could not be undone. */
        self.remove = (kind, thing) => {
            const name = thing.name();
            const forget = (request) => shared.complain(gettext("This could not be deleted"))(request);
            return OctoPrint.plugins.facesculpt
                .remove(kind, thing.id)
                .done(() => tell(kind, thing.id, name))
                .fail((request) => {
                    const {code} = ((request && request.responseJSON) || {}).error || {};
                    if (!["no_room_to_keep", "disk_full"].includes(code)) return forget(request);
                    shared.confirm(
                        gettext("Delete this for ever?"),
                        _.sprintf(
                            gettext("There is little room left on the disk: “%(name)s” cannot be kept in case you want it back."),
                            {name: name}
                        ),
                        gettext("Delete for ever"),
                        () => OctoPrint.plugins.facesculpt.remove(kind, thing.id, true).fail(forget)
                    );
                });
        };

        const key = (kind, id) => kind + "/" + id;

        const tell = (kind, id, name) => {
            const done = kind === "queue" ? gettext("“%(name)s” was removed from the queue.") : gettext("“%(name)s” was deleted.");
            const title = _.sprintf(done, {name: name});
            const notice = new PNotify({
                title: _.escape(title),
                addclass: "facesculpt-notice",
                text: gettext("For an hour it is under “Deleted lately” in the FaceSculpt tab."),
                type: "success",
                delay: NOTICE_MS,
                mouse_reset: true,
                buttons: {sticker: false},
                confirm: {
                    confirm: true,
                    align: "left",
                    buttons: [
                        {
                            text: gettext("Undo"),
                            addClass: "btn-small",
                            click: (pressed) => {
                                pressed.remove();
                                undo(kind, id, name);
                            }
                        },
                        // In place of PNotify's second button, "Cancel".
                        {text: gettext("Close"), addClass: "btn-small", click: (pressed) => pressed.remove()}
                    ]
                }
            });
            // What comes into the page as a whole is not read out everywhere.
            shared.announce(title + " " + gettext("It can be had back under “Deleted lately”."));
            notices.set(key(kind, id), notice);
        };

        const undo = (kind, id, name) =>
            OctoPrint.plugins.facesculpt
                .restore(kind, id)
                .done(() => shared.announce(_.sprintf(gettext("“%(name)s” is back."), {name: name})))
                .fail(shared.complain(gettext("This could not be undone")));

        self.undo = (deleted) => undo(deleted.data().kind, deleted.data().of, deleted.data().name);

        //~~ Following the server

        const placed = (rows) => rows.map((row, place) => _.extend({}, row, {place: place, id: key(row.kind, row.id), of: row.id}));
        const take = (rows) => {
            list.replace(placed(rows));
            const there = new Set(rows.map((row) => key(row.kind, row.id)));
            notices.forEach((notice, id) => {
                if (there.has(id)) return;
                // At once: one that is still fading in might stay.
                notice.options.animation = "none";
                notice.remove();
                notices.delete(id);
            });
        };

        self.refresh = () => {
            if (!shared.mayView()) return take([]);
            return OctoPrint.plugins.facesculpt.deleted().done(take);
        };

        shared.follow(self, {deleted: take});
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptDeletedViewModel,
        dependencies: ["facesculptViewModel"],
        elements: ["#facesculpt_deleted"]
    });
});
