/*
 * What all parts of the FaceSculpt tab share: permissions, the state of the plugin, messages to the user, lists kept in
 * step with the server, and how numbers read. The other view models of this folder depend on this one.
 */
$(function () {
    function FacesculptViewModel(parameters) {
        const self = this;
        self.loginState = parameters[0];
        self.access = parameters[1];
        self.printerState = parameters[2];
        self.texts = parameters[3];
        self.errors = parameters[4];

        self.status = ko.observable();
        /** Why the state of the plugin is not known, as a sentence; empty when it is. */
        self.unreachable = ko.observable("");
        self.announcement = ko.observable("");
        self.fetching = ko.observable(false);
        self.fetchFraction = ko.observable(0);
        self.fetchError = ko.observable();

        self.permitted = (name) =>
            self.loginState.hasPermission(self.access.permissions["PLUGIN_FACESCULPT_" + name]);
        self.mayView = ko.pureComputed(() => self.permitted("VIEW"));
        self.mayCreate = ko.pureComputed(() => self.permitted("CREATE"));
        self.mayPrint = ko.pureComputed(() => self.permitted("PRINT"));
        self.mayAdminister = ko.pureComputed(() => self.permitted("ADMIN"));

        self.missingAssets = ko.pureComputed(() =>
            ((self.status() || {}).assets || []).filter((asset) => !asset.present)
        );
        self.missingBytes = ko.pureComputed(() =>
            self.missingAssets().reduce((sum, asset) => sum + (asset.size || 0), 0)
        );
        self.slicer = ko.pureComputed(() => (self.status() || {}).slicer || {found: true});
        self.photoBytes = ko.pureComputed(() => {
            const limits = (self.status() || {}).limits || {};
            return limits.photo_bytes || 20 * 1024 * 1024;
        });

        // Files of which the database knows nothing, because it was damaged and begun anew.
        self.leftovers = ko.pureComputed(() => _.extend({photos: 0, sculptures: 0, bytes: 0}, (self.status() || {}).leftovers));
        self.anyLeftovers = ko.pureComputed(() => self.mayCreate() && self.leftovers().photos + self.leftovers().sculptures > 0);
        self.leftoversText = ko.pureComputed(() => {
            const {photos, sculptures, bytes} = self.leftovers();
            return _.sprintf(gettext("Photos: %(photos)d, sculptures: %(sculptures)d, together %(size)s."), {
                photos: photos,
                sculptures: sculptures,
                size: self.texts.megabytes(bytes)
            });
        });

        /** Why nothing can be printed now, as a sentence; empty when the printer is ready. */
        self.printerNotReady = ko.pureComputed(() => {
            const printer = self.printerState;
            if (printer.isPrinting() || printer.isPaused() || printer.isPausing())
                return gettext("The printer is busy. You can print when the current job has ended.");
            if (!printer.isOperational())
                return gettext("The printer is not connected. Connect it in the panel on the left.");
            if (!printer.isReady()) return gettext("The printer is not ready yet.");
            return "";
        });

        self.refresh = () => {
            if (!self.mayView()) return self.status(undefined);
            return OctoPrint.plugins.facesculpt
                .status()
                .done((status) => {
                    self.status(status);
                    self.fetching(!!status.fetching);
                    self.unreachable("");
                })
                .fail((request) => self.unreachable(self._whyUnreachable(request)));
        };

        self._whyUnreachable = (request) => {
            const {code} = ((request && request.responseJSON) || {}).error || {};
            if (!code || code === "internal_error")
                return gettext("FaceSculpt does not answer. Reload this page; if that does not help, look into octoprint.log.");
            const refusal = self.errors.ofRequest(request);
            return [refusal.message, refusal.hint].filter(Boolean).join(" ");
        };

        self.fetchAssets = () => {
            self.fetching(true);
            self.fetchFraction(0);
            self.fetchError(undefined);
            OctoPrint.plugins.facesculpt.fetchAssets().fail((request) => {
                self.fetching(false);
                self.fetchError(self.errors.ofRequest(request));
            });
        };

        self.restoreLeftovers = () =>
            OctoPrint.plugins.facesculpt
                .leftovers("restore")
                .done(self.refresh)
                .fail(self.complain(gettext("The photos could not be taken back")));

        self.deleteLeftovers = () =>
            self.confirm(
                gettext("Delete these files?"),
                gettext("These photos and sculptures will be deleted for ever."),
                gettext("Delete for ever"),
                () =>
                    OctoPrint.plugins.facesculpt
                        .leftovers("delete")
                        .done(self.refresh)
                        .fail(self.complain(gettext("The files could not be deleted")))
            );

        self._followAssets = (data) => {
            if (data.error) {
                self.fetching(false);
                self.fetchError(self.errors.ofError(data.error));
            } else if (data.done) {
                self.fetching(false);
                self.announce(gettext("The model files are ready."));
                self.refresh();
            } else {
                self.fetching(true);
                self.fetchFraction(data.fraction || 0);
            }
        };

        /** Says something to people who hear the page rather than see it. */
        self.announce = (text) => {
            self.announcement("");
            window.setTimeout(() => self.announcement(text), 50);
        };

        /** Shows a failed request as a notice of OctoPrint's kind. */
        self.complain = (title) => (request) => {
            const error = self.errors.ofRequest(request);
            new PNotify({
                title: title,
                text: _.escape([error.message, error.hint].filter(Boolean).join(" ")),
                type: "error",
                hide: false
            });
        };

        /** What may have the keyboard when an element that has it goes: its card, or else the part of the tab around it. */
        const places = (element) =>
            element && element.closest
                ? [element, element.closest(".facesculpt-card"), element.closest(".facesculpt section")].filter(Boolean)
                : [];
        const giveBack = (among) => {
            const back = among.find((place) => document.contains(place) && place.getClientRects().length);
            if (back && back !== document.activeElement) back.focus();
        };

        /** Makes a change of the page after which the keyboard is still where it was, or as near as can be. */
        const keepingFocus = (change) => {
            const before = places(document.activeElement);
            change();
            giveBack(before);
        };

        /** Opens a dialog; when it closes, the keyboard goes back to where it was. */
        self.openDialog = (dialog) => {
            const opener = places(document.activeElement);
            dialog.one("hidden", () => {
                // Unless it has gone on to the next dialog.
                if (!$(".modal.in").length) giveBack(opener);
            });
            dialog.modal("show");
        };

        // OctoPrint's dialog takes no keyboard: whoever has no mouse would go on in the page behind it.
        self.confirm = (title, message, proceed, action) => {
            const dialog = showConfirmationDialog({
                title: _.escape(title),
                html: $("<p>").text(message),
                proceed: _.escape(proceed),
                proceedClass: "primary",
                cancel: gettext("Not now"),
                dialogClass: "facesculpt-confirm",
                onproceed: action
            });
            dialog.attr({tabindex: -1, role: "dialog", "aria-modal": "true", "aria-label": title});
            const cancel = dialog.find(".modal-footer [data-dismiss=modal]").removeAttr("aria-hidden");
            dialog.find(".modal-footer a").attr("role", "button");
            self.openDialog(dialog);
            cancel.trigger("focus");
        };

        /**
         * A list that follows the server: `make(data)` builds an entry from the observable of its newest JSON, so that an
         * update changes the page in place and the reader's focus stays where it is. `order` compares two JSON objects.
         */
        self.keyedList = (make, order) => {
            const known = ko.observableArray([]);
            const entries = ko.pureComputed(() => known().slice().sort((a, b) => order(a.data(), b.data())));
            const find = (id) => known.peek().find((entry) => entry.id === id);
            // Answers are numbered as they are asked for; what changes while one is on its way is newer than the answer.
            let asked = 0;
            let newest = 0;
            const onTheirWay = new Set();
            const changed = (id) => onTheirWay.forEach((ids) => ids.add(id));
            // New entries come in together: each change of the list sorts it and looks through the page anew.
            const place = (list) => {
                const added = [];
                const there = new Map(known.peek().map((entry) => [entry.id, entry]));
                list.forEach((json) => {
                    if (there.has(json.id)) return there.get(json.id).data(json);
                    const entry = make(ko.observable(json));
                    entry.id = json.id;
                    added.push(entry);
                });
                if (added.length) known.push(...added);
            };
            const put = (json) => {
                changed(json.id);
                keepingFocus(() => place([json]));
            };
            const remove = (id) => {
                changed(id);
                keepingFocus(() => known.remove((entry) => entry.id === id));
            };
            const take = (list, number, newer) => {
                newest = number;
                const ids = new Set(list.map((json) => json.id));
                keepingFocus(() => {
                    known.remove((entry) => !ids.has(entry.id) && !newer.has(entry.id));
                    place(list.filter((json) => !newer.has(json.id)));
                });
                return ids;
            };
            const replace = (list) => take(list, ++asked, new Set());
            const fetch = (ask) => {
                const number = ++asked;
                const newer = new Set();
                onTheirWay.add(newer);
                return ask()
                    .always(() => onTheirWay.delete(newer))
                    .then((answer) => {
                        if (number < newest) return;
                        const ids = take(answer, number, newer);
                        // It has come meanwhile, or it was told of just before it was deleted.
                        if (known.peek().some((entry) => newer.has(entry.id) && !ids.has(entry.id))) return fetch(ask);
                    });
            };
            return {entries, find, put, remove, replace, fetch};
        };
        /** What a card shows of the server's answer; `otherwise` in place of what cannot be read: it must not stop the page. */
        self.readable = (read, otherwise) =>
            ko.pureComputed(() => {
                try {
                    return read();
                } catch (error) {
                    log.warn("FaceSculpt cannot read what the server says:", error);
                    return otherwise;
                }
            });

        self.newestFirst = (a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : 0);

        /** A view model that has a `refresh` and hears `messages` ({type: function}) of the plugin. */
        self.follow = (model, messages) => {
            const refresh = _.debounce(() => model.refresh(), 100);
            model.onStartupComplete = refresh;
            model.onDataUpdaterReconnect = refresh;
            model.onUserPermissionsChanged = refresh;
            model.onDataUpdaterPluginMessage = (plugin, message) => {
                if (plugin !== "facesculpt" || !self.mayView()) return;
                const handler = messages[message.type];
                if (handler) handler(message.data || {});
            };
        };
        self.follow(self, {assets: self._followAssets});
        self.onEventSettingsUpdated = self.refresh;
    }

    OCTOPRINT_VIEWMODELS.push({
        construct: FacesculptViewModel,
        dependencies: [
            "loginStateViewModel",
            "accessViewModel",
            "printerStateViewModel",
            "facesculptTextsViewModel",
            "facesculptErrorsViewModel"
        ],
        elements: ["#facesculpt_overview", "#wizard_plugin_facesculpt"]
    });
});
