/* The print queue and the running print. */
$(function () {
    function FacesculptQueueViewModel(parameters) {
        const self = this;
        const shared = (self.shared = parameters[0]);
        const texts = (self.texts = shared.texts);
        const printer = shared.printerState;
        self.deleted = parameters[1];

        // The server sends the whole queue in its order: what prints, what waits, what ended lately.
        const list = shared.keyedList(
            (data) => new Item(data),
            (a, b) => a.place - b.place
        );
        const inState = (...states) => ko.pureComputed(() => list.entries().filter((item) => states.includes(item.state())));
        self.running = inState("printing", "paused");
        self.waiting = inState("queued");
        self.ended = inState("done", "failed", "cancelled");

        function Item(data) {
            const item = this;
            item.data = data;
            let before = data().state;
            data.subscribe((now) => {
                if (before === "printing" && now.state !== before)
                    shared.announce(now.name + ": " + texts.queueState(now.state));
                before = now.state;
            });
            item.name = ko.pureComputed(() => data().name);
            item.state = ko.pureComputed(() => data().state);
            item.stateText = ko.pureComputed(() =>
                data().state === "failed" && data().reason === "interrupted"
                    ? gettext("Interrupted")
                    : texts.queueState(data().state)
            );
            item.thumbnail = ko.pureComputed(() => data().thumbnail);
            item.estimate = ko.pureComputed(() => (data().seconds ? texts.duration(data().seconds) : ""));
            // OctoPrint tells every second how far it is; our server tells only what changed.
            item.percent = ko.pureComputed(() => texts.percent((printer.progress() || 0) / 100));
            item.timeLeft = ko.pureComputed(() => {
                const left = printer.printTimeLeft();
                return _.isFinite(left) && left !== null
                    ? _.sprintf(gettext("About %(duration)s left"), {duration: texts.duration(left)})
                    : "";
            });
            item.elapsed = ko.pureComputed(() =>
                printer.printTime()
                    ? _.sprintf(gettext("Printing for %(duration)s"), {
                          duration: texts.duration(printer.printTime() + (data().seconds_before || 0))
                      })
                    : ""
            );
            item.moveUpLabel = ko.pureComputed(() => _.sprintf(gettext("Move “%(name)s” up"), {name: data().name}));
            item.moveDownLabel = ko.pureComputed(() => _.sprintf(gettext("Move “%(name)s” down"), {name: data().name}));
            item.printLabel = ko.pureComputed(() => _.sprintf(gettext("Print “%(name)s” now"), {name: data().name}));
            item.removeLabel = ko.pureComputed(() =>
                _.sprintf(gettext("Remove “%(name)s” from the queue"), {name: data().name})
            );
            item.isFirst = ko.pureComputed(() => self.waiting()[0] === item);
            item.isLast = ko.pureComputed(() => self.waiting()[self.waiting().length - 1] === item);
        }

        //~~ Into the queue and onto the printer

        self.add = (sculpture) =>
            OctoPrint.plugins.facesculpt
                .enqueue(sculpture.id)
                .done(() => shared.announce(_.sprintf(gettext("“%(name)s” is in the queue."), {name: sculpture.name()})))
                .fail(shared.complain(gettext("This could not be queued")));

        /** The first item of a sculpture that waits, if there is any. */
        self.waits = (sculpture) => self.waiting().find((item) => item.data().sculpture === sculpture.id);

        self.printSculpture = (sculpture) => {
            // What waits in the queue already is printed from there rather than queued twice.
            const waiting = self.waits(sculpture);
            if (waiting) return self.print(waiting);
            self._askForClearBed(sculpture.name(), () =>
                self._started(OctoPrint.plugins.facesculpt.printSculpture(sculpture.id), sculpture.name())
            );
        };

        self.print = (item) =>
            self._askForClearBed(item.name(), () =>
                self._started(OctoPrint.plugins.facesculpt.print(item.id), item.name())
            );

        self._askForClearBed = (name, action) =>
            shared.confirm(
                _.sprintf(gettext("Print “%(name)s” now?"), {name: name}),
                gettext(
                    "Please look at the printer: the bed must be empty and clean, and there must be enough filament. The printer heats up and moves as soon as you go on."
                ),
                gettext("The bed is clear, print"),
                action
            );

        self._started = (request, name) =>
            request
                .done(() => {
                    shared.announce(_.sprintf(gettext("“%(name)s” is being printed."), {name: name}));
                    document.getElementById("facesculpt_running").scrollIntoView({block: "nearest"});
                })
                .fail(shared.complain(gettext("The print could not be started")));

        //~~ Order

        self.moveUp = (item, event) => self._move(item, -1, event);
        self.moveDown = (item, event) => self._move(item, 1, event);

        self._move = (item, step, event) => {
            const neighbour = self.waiting()[self.waiting().indexOf(item) + step];
            if (!neighbour) return;
            const button = event && event.currentTarget;
            OctoPrint.plugins.facesculpt
                .move(item.id, neighbour.data().position)
                .then(() => self.refresh())
                .done(() => {
                    // Moving the row in the page takes the keyboard away from the button that did it.
                    if (button && !button.disabled) button.focus();
                    shared.announce(
                        _.sprintf(gettext("“%(name)s” is now number %(position)d."), {
                            name: item.name(),
                            position: self.waiting().indexOf(item) + 1
                        })
                    );
                })
                .fail(shared.complain(gettext("The order could not be changed")));
        };

        self.remove = (item) => self.deleted.remove("queue", item).done(() => list.remove(item.id));

        //~~ Following the server

        const placed = (items) => items.map((item, place) => _.extend({place: place}, item));

        self.refresh = () => {
            if (!shared.mayView()) return list.replace([]);
            return list.fetch(() => OctoPrint.plugins.facesculpt.queue().then(placed));
        };

        // What is deleted leaves the queue, too.
        shared.follow(self, {
            queue: (items) => list.replace(placed(items)),
            sculptures: () => self.refresh(),
            photos: () => self.refresh()
        });
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptQueueViewModel,
        dependencies: ["facesculptViewModel", "facesculptDeletedViewModel"],
        elements: ["#facesculpt_running", "#facesculpt_queue"]
    });
});
